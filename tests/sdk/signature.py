# The signature of a mail, judged by dkimpy, whose DNS is made up here.
#
#   python signature.py MAIL NAME RECORD   where NAME is SELECTOR._domainkey.DOMAIN
#
# The last line is "N passed, N failed".
import sys

import dkim

file, name, record = sys.argv[1:]
with open(file, 'rb') as opened:
    mail = opened.read()


def holds(text):
    def dns(asked, timeout=5):
        return record.encode() if asked.decode().rstrip('.') == name else None
    try:
        return dkim.DKIM(text, minkey=2048).verify(dnsfunc=dns)
    except dkim.DKIMException as error:
        print(f'        {error}')
        return False


results = {
    'the signature holds': holds(mail),
    'another subject is found out': not holds(mail.replace(b'\r\nSubject: ', b'\r\nSubject: Another ', 1)),
    'another body is found out': not holds(mail.replace(b'\r\n\r\n', b'\r\n\r\nmore\r\n', 1)),
    'a line in front changes nothing, as every server on the way adds one': holds(b'Received: by sink.example\r\n' + mail),
}
for title, good in results.items():
    print(f'{"ok     " if good else "FAILED "} {title}')
passed = sum(results.values())
print(f'{passed} passed, {len(results) - passed} failed')
sys.exit(passed < len(results))
