# The signature of a mail, judged by dkimpy, whose DNS is made up here.
#
#   python signature.py MAIL NAME RECORD   where NAME is SELECTOR._domainkey.DOMAIN
#
# The last line is "N passed, N failed".
import re
import sys

import dkim

file, name, record = sys.argv[1:]
with open(file, 'rb') as opened:
    mail = opened.read()
body = mail.index(b'\r\n\r\n') + 4


def holds(text):
    def dns(asked, timeout=5):
        return record.encode() if asked.decode().rstrip('.') == name else None
    try:
        return dkim.DKIM(text, minkey=2048).verify(dnsfunc=dns)
    except dkim.DKIMException:
        return False


def with_another(at):
    """The mail with one octet changed, as a mail server or a thief on the way might."""
    return mail[:at] + bytes([mail[at] ^ 1]) + mail[at + 1:]


def end_of(field):
    return re.search(rb'^%s:[^\r]*(\r\n[ \t][^\r]*)*' % field, mail, re.I | re.M).end() - 1


signed = [b'From', b'To', b'Subject', b'Date', b'Message-ID']
results = {
    'the signature holds': holds(mail),
    'one octet of a signed field is found out': not any(holds(with_another(end_of(field))) for field in signed),
    'one octet of the body is found out, the first, the middle, the last':
        not any(holds(with_another(at)) for at in (body, (body + len(mail)) // 2, len(mail.rstrip()) - 1)),
    'a second subject or sender is found out, above or below the first':
        not any(holds(mail[:at] + field + mail[at:])
                for at in (0, body - 2) for field in (b'Subject: x\r\n', b'From: x@example.org\r\n')),
    'a line in front changes nothing, as every server on the way adds one': holds(b'Received: by sink.example\r\n' + mail),
}
for title, good in results.items():
    print(f'{"ok     " if good else "FAILED "} {title}')
passed = sum(results.values())
print(f'{passed} passed, {len(results) - passed} failed')
sys.exit(passed < len(results))
