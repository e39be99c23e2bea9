//! The digest as it goes over the wire: made once, copied a million times.
//!
//! All that readers of one edition share is written out ahead: header fields encoded (RFC 2047), both parts in
//! quoted-printable (RFC 2045, 6.7), cut where a reader's own links belong. For a reader those pieces are copied into a
//! buffer that the connection keeps, and seven short things are put between them. A link is set off by soft line breaks
//! before and behind, so its length moves no line of the shared text beyond 76 characters, and no mark can ever have
//! fallen into a line break: the text was cut before it was encoded.
//!
//! The mail is ASCII throughout, whatever it says, so any server takes it (an address beyond ASCII excepted).

use crate::address::Address;
use crate::clock::Moment;
use crate::mail::{Sender, text_field};
use quoted_printable::{Options, encode_with_options};
use std::sync::Arc;

/// No line of quoted-printable text has `=_` in it, so this occurs in no part (RFC 2045, 6.7 (5), note).
const BOUNDARY: &str = "=_friday_digest";
/// The longest line of quoted-printable, without its line end.
const LINE: usize = 76;

/// The links that differ for each reader.
#[derive(Clone, Copy, Debug)]
enum Link {
    Unsubscribe,
    Preferences,
}

/// Both parts of an edition, encoded, with the places of the readers' links.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    cuts: Vec<(usize, Link)>,
}

/// The marks that stand in an edition where links belong.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// For the link that ends a subscription.
    pub unsubscribe: &'static str,
    /// For the link to the reader's choices.
    pub preferences: &'static str,
}

impl Body {
    /// Encodes an edition: its text, and its HTML where it has one.
    pub fn new(text: &str, html: Option<&str>, marks: Marks) -> Body {
        let mut body =
            Body { bytes: Vec::with_capacity(2 * (text.len() + html.map_or(0, str::len))), cuts: Vec::new() };
        match html {
            None => body.part("plain", text, marks),
            Some(html) => {
                body.push(&format!(
                    "Content-Type: multipart/alternative;\r\n boundary=\"{BOUNDARY}\"\r\n\r\n--{BOUNDARY}\r\n"
                ));
                body.part("plain", text, marks);
                body.push(&format!("--{BOUNDARY}\r\n"));
                body.part("html", html, marks);
                body.push(&format!("--{BOUNDARY}--\r\n"));
            }
        }
        body
    }

    fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// One character short of the limit, so that a soft line break fits behind every line.
    fn encoded(&mut self, text: &str) {
        self.push(&encode_with_options(text, Options::default().line_length_limit(LINE - 1)));
    }

    fn part(&mut self, subtype: &str, content: &str, marks: Marks) {
        self.push(&format!(
            "Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        ));
        let content = content.replace("\r\n", "\n").replace('\n', "\r\n");
        let mut rest = content.as_str();
        while let Some((at, mark, link)) = first_mark(rest, marks) {
            self.encoded(&rest[..at]);
            self.push("=\r\n");
            self.cuts.push((self.bytes.len(), link));
            self.push("=\r\n");
            rest = &rest[at + mark.len()..];
        }
        self.encoded(rest);
        self.push("\r\n");
    }
}

fn first_mark(text: &str, marks: Marks) -> Option<(usize, &'static str, Link)> {
    [(marks.unsubscribe, Link::Unsubscribe), (marks.preferences, Link::Preferences)]
        .into_iter()
        .filter_map(|(mark, link)| Some((text.find(mark)?, mark, link)))
        .min_by_key(|(at, ..)| *at)
}

/// A mail to all readers of one edition, still without a reader.
#[derive(Clone, Debug)]
pub struct Letter {
    head: Arc<str>,
    body: Arc<Body>,
}

/// What a letter has of its reader's own.
#[derive(Debug)]
pub struct Own<'a> {
    /// The recipient.
    pub to: &'a Address,
    /// With its angle brackets.
    pub message_id: &'a str,
    /// When it is sent.
    pub at: Moment,
    /// Ends the subscription (RFC 8058).
    pub unsubscribe: &'a str,
    /// The same by mail (RFC 2369): an address, with its subject.
    pub unsubscribe_mail: &'a str,
    /// The reader's choices.
    pub preferences: &'a str,
}

impl Letter {
    /// A letter from `sender`. `list` is the newsletter's slug and, unless the reader wants it discreet, its name.
    pub fn new(sender: &Sender, subject: &str, list: (&str, Option<&str>), body: Arc<Body>) -> Letter {
        let list = text_field("List-Id", &list_id(list, sender.domain()));
        let head = sender.from_field() + &text_field("Subject", subject) + &list;
        Letter { head: head.into(), body }
    }

    /// Writes the mail for one reader into `out`, which is emptied first.
    pub fn write(&self, out: &mut Vec<u8>, own: &Own<'_>) {
        out.clear();
        out.extend_from_slice(self.head.as_bytes());
        for (name, parts) in [
            ("To: ", [own.to.as_str(), "", ""]),
            ("Date: ", [&date(own.at), "", ""]),
            ("Message-ID: ", [own.message_id, "", ""]),
            ("List-Unsubscribe: <", [own.unsubscribe, ">,\r\n <mailto:", own.unsubscribe_mail]),
        ] {
            out.extend_from_slice(name.as_bytes());
            parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
            out.extend_from_slice(if name.ends_with('<') { b">\r\n" } else { b"\r\n" });
        }
        out.extend_from_slice(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nMIME-Version: 1.0\r\n");
        let mut from = 0;
        for (at, link) in &self.body.cuts {
            out.extend_from_slice(&self.body.bytes[from..*at]);
            let link = match link {
                Link::Unsubscribe => own.unsubscribe,
                Link::Preferences => own.preferences,
            };
            encode_link(out, link);
            from = *at;
        }
        out.extend_from_slice(&self.body.bytes[from..]);
    }
}

/// `Phrase <label.domain>` (RFC 2919). In the phrase only what needs no quoting is kept.
fn list_id((slug, name): (&str, Option<&str>), domain: &str) -> String {
    let plain = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '\'' | '&' | '/');
    match name.map(|n| n.chars().filter(plain).collect::<String>()).filter(|n| !n.trim().is_empty()) {
        Some(phrase) => format!("{} <{slug}.{domain}>", phrase.trim()),
        None => format!("<{slug}.{domain}>"),
    }
}

/// RFC 5322, 3.3.
fn date(at: Moment) -> String {
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .zoned_datetime_to_string(&at.to_jiff().to_zoned_datetime(jiff::tz::TimeZone::UTC))
        // Only a year before 0 has no such date, and the clock would have to be off by two thousand years.
        .unwrap_or_else(|_| "Thu, 1 Jan 1970 00:00:00 +0000".to_owned())
}

/// A link in quoted-printable, beginning on a line of its own and leaving room for the soft break behind it.
fn encode_link(out: &mut Vec<u8>, link: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut on_line = 0;
    for &byte in link.as_bytes() {
        if on_line + 3 >= LINE {
            out.extend_from_slice(b"=\r\n");
            on_line = 0;
        }
        if byte.is_ascii_graphic() && byte != b'=' {
            out.push(byte);
            on_line += 1;
        } else {
            out.extend_from_slice(&[b'=', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            on_line += 3;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { unsubscribe: "UNSUBSCRIBE-MARK", preferences: "PREFERENCES-MARK" };

    fn write(subject: &str, from: &str, name: Option<&str>, text: &str, html: Option<&str>, link: &str) -> String {
        let sender = Sender::parse(from).unwrap();
        let letter = Letter::new(&sender, subject, ("weekly", name), Arc::new(Body::new(text, html, MARKS)));
        let mut out = b"left over".to_vec();
        let own = Own {
            to: &Address::parse("anna@example.net").unwrap(),
            message_id: "<abc@example.org>",
            at: Moment::from_millis(1_795_000_000_000),
            unsubscribe: link,
            unsubscribe_mail: "unsubscribe+xyz@example.org?subject=unsubscribe",
            preferences: "https://friday.example/preferences/p?x=1&y=2",
        };
        letter.write(&mut out, &own);
        String::from_utf8(out).unwrap()
    }

    /// Header and decoded parts, read as a mail program would.
    fn read(mail: &str) -> (String, Vec<String>) {
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        let decode = |part: &str| {
            let decoded = quoted_printable::decode(part.as_bytes(), quoted_printable::ParseMode::Strict).unwrap();
            String::from_utf8(decoded).unwrap()
        };
        if !head.contains("multipart/alternative") {
            return (head.to_owned(), vec![decode(body)]);
        }
        let between = format!("--{BOUNDARY}");
        let parts = body.split(&between);
        let contents = parts.filter_map(|part| part.split_once("\r\n\r\n")).map(|(_, content)| decode(content));
        (head.to_owned(), contents.collect())
    }

    fn lines_are_short_ascii(mail: &str) {
        assert!(mail.is_ascii());
        assert!(!mail.replace("\r\n", "").contains(['\r', '\n']), "only CRLF ends a line");
        let body = mail.split_once("\r\n\r\n").unwrap().1;
        assert!(body.split("\r\n").all(|line| line.len() <= 76), "{body}");
        assert!(mail.split("\r\n").all(|line| line.len() <= 998));
    }

    #[test]
    fn a_reader_gets_the_text_with_their_own_links_wherever_the_marks_stood() {
        let link = format!("https://friday.example/unsubscribe/{}==", "aZ09-_".repeat(40));
        // Marks at the beginning, the end, side by side, at every column of a line, after spaces and before line ends.
        for column in 0..160 {
            let pad = "ё =x. ".chars().cycle().take(column).collect::<String>();
            let text = format!(
                "UNSUBSCRIBE-MARK{pad}UNSUBSCRIBE-MARK PREFERENCES-MARKUNSUBSCRIBE-MARK \r\n.\nFrom x\nPREFERENCES-MARK"
            );
            let html = format!("<p>{pad}<a href=\"UNSUBSCRIBE-MARK\">x</a>{pad}\t\n</p>");
            let mail = write("S", "A <a@example.org>", None, &text, Some(&html), &link);
            lines_are_short_ascii(&mail);
            let with_links = |text: &str| {
                text.replace("\r\n", "\n")
                    .replace('\n', "\r\n")
                    .replace("UNSUBSCRIBE-MARK", &link)
                    .replace("PREFERENCES-MARK", "https://friday.example/preferences/p?x=1&y=2")
            };
            let (_, parts) = read(&mail);
            assert_eq!(parts, [with_links(&text) + "\r\n", with_links(&html) + "\r\n"], "column {column}");
        }
    }

    #[test]
    fn the_header_has_what_the_contract_says_once() {
        let mail = write(
            "No. 42",
            "The Times <d@example.org>",
            Some("The Friday digest"),
            "x",
            Some("<p>x"),
            "https://f.example/u/1",
        );
        let (head, parts) = read(&mail);
        assert_eq!(parts.len(), 2);
        for field in [
            "From: \"The Times\" <d@example.org>",
            "To: anna@example.net",
            "Subject: No. 42",
            "Date: Wed, 18 Nov 2026 11:06:40 +0000",
            "Message-ID: <abc@example.org>",
            "List-Id: The Friday digest <weekly.example.org>",
            "List-Unsubscribe: <https://f.example/u/1>,\r\n <mailto:unsubscribe+xyz@example.org?subject=unsubscribe>",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
            "MIME-Version: 1.0",
        ] {
            let field_as = field.replace("\"The Times\"", "The Times");
            let count = head.matches(field).count().max(head.matches(&field_as).count());
            assert_eq!(count, 1, "{field} in {head}");
        }
        assert!(!head.contains("Auto-Submitted") && !head.contains("Precedence"));
    }

    #[test]
    fn names_and_subjects_in_any_script_are_encoded_and_inject_nothing() {
        let subject = format!("Пятничный дайджест\r\nBcc: x@example.org {}", "№ 42 ".repeat(30));
        let mail = write(
            &subject,
            "\"Газета, ежедневная\" <d@почта.рф>",
            Some("Дайджест; \"пятница\""),
            "x",
            None,
            "https://f.example/u/1",
        );
        lines_are_short_ascii(&mail);
        let (head, _) = read(&mail);
        assert!(!head.contains("\r\nBcc"));
        assert!(head.contains("<d@xn--80a1acny.xn--p1ai>"));
        assert!(head.split("\r\n").all(|line| line.len() <= 78 || line.starts_with("From: ")), "{head}");
        assert!(head.contains("<weekly.xn--80a1acny.xn--p1ai>"));
    }

    #[test]
    fn a_discreet_list_has_no_name() {
        assert_eq!(list_id(("weekly", None), "example.org"), "<weekly.example.org>");
        assert_eq!(list_id(("weekly", Some("\"<>\"")), "example.org"), "<weekly.example.org>");
    }
}
