//! Bytes of any charset to text.
//!
//! Feeds lie about their charset more often than they break XML: the server says one thing, the declaration another, and the
//! bytes are a third. So the bytes speak first: what is valid UTF-8 with a letter outside ASCII in it is UTF-8. Then the
//! server, then the document, each believed only if the bytes fit; then a guess from the letters themselves.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// The text of `bytes`. `charset` is what the server said, if anything.
pub(super) fn decode(bytes: &[u8], charset: Option<&str>) -> String {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned();
    }
    if let Some(encoding) = wide(bytes) {
        return encoding.decode_without_bom_handling(bytes).0.into_owned();
    }
    if !bytes.is_ascii()
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return text.to_owned();
    }
    // A document that names UTF-16 in letters of one byte is mistaken: wide() would have seen it.
    let named = [charset.map(str::to_owned), declared(bytes)]
        .into_iter()
        .flatten()
        .filter_map(|label| Encoding::for_label(label.trim().as_bytes()))
        .filter(|e| *e != UTF_16LE && *e != UTF_16BE);
    for encoding in named {
        if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) {
            return text.into_owned();
        }
    }
    // Mostly UTF-8 with a broken character or two (a text cut in the middle of one) is still UTF-8.
    let text = String::from_utf8_lossy(bytes);
    let broken = text.matches('\u{fffd}').count();
    if broken * 20 < text.chars().filter(|c| !c.is_ascii()).count() {
        return text.into_owned();
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let guess = detector.guess(None, Utf8Detection::Allow);
    guess.decode_without_bom_handling(bytes).0.into_owned()
}

/// UTF-16 without a mark, seen by the zero byte beside the first character of markup.
fn wide(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [b'<' | b'{' | b' ' | b'\n' | b'\r', 0, c, 0, ..] if *c != 0 => Some(UTF_16LE),
        [0, b'<' | b'{' | b' ' | b'\n' | b'\r', 0, c, ..] if *c != 0 => Some(UTF_16BE),
        _ => None,
    }
}

/// What the document says of itself: an XML declaration, or a page's `<meta charset>`.
fn declared(bytes: &[u8]) -> Option<String> {
    let head = &bytes[..bytes.len().min(2048)];
    let head: String = head.iter().map(|b| char::from(*b).to_ascii_lowercase()).collect();
    let value = |text: &str| -> Option<String> {
        let text = text.trim_start().strip_prefix('=')?.trim_start();
        let text = text.strip_prefix(['"', '\'']).unwrap_or(text);
        let label: String = text.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_:.".contains(*c)).collect();
        (!label.is_empty()).then_some(label)
    };
    if head.trim_start().starts_with("<?xml") {
        let declaration = head.split("?>").next().unwrap_or_default();
        return value(declaration.split_once("encoding")?.1);
    }
    value(head.split_once("charset")?.1)
}

/// What the server says in `Content-Type`.
pub(super) fn of_content_type(content_type: &str) -> Option<&str> {
    content_type
        .split(';')
        .skip(1)
        .filter_map(|p| p.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{KOI8_R, WINDOWS_1251, WINDOWS_1252};

    const RUSSIAN: &str =
        "Новости: цены на бензин достигли рекорда, говорят водители в очередях. Мы поехали посмотреть.";

    #[test]
    fn bytes_speak_before_the_server_and_the_document() {
        let xml = format!("<?xml version=\"1.0\" encoding=\"windows-1251\"?><a>{RUSSIAN}</a>");
        assert_eq!(decode(xml.as_bytes(), Some("koi8-r")), xml);
    }

    #[test]
    fn russian_charsets_named_by_the_document_the_server_or_nobody() {
        for encoding in [WINDOWS_1251, KOI8_R] {
            let named = format!("<?xml version='1.0' encoding='{}'?><a>{RUSSIAN}</a>", encoding.name());
            let (bytes, _, _) = encoding.encode(&named);
            assert_eq!(decode(&bytes, None), named);
            let unnamed = format!("<a>{RUSSIAN}</a>");
            let (bytes, _, _) = encoding.encode(&unnamed);
            assert_eq!(decode(&bytes, Some(encoding.name())), unnamed);
            assert_eq!(decode(&bytes, None), unnamed, "{}", encoding.name());
            // The server says UTF-8, which it is not
            assert_eq!(decode(&bytes, Some("utf-8")), unnamed, "{}", encoding.name());
        }
        let (bytes, _, _) = WINDOWS_1252.encode("<p>Où est l’été à Genève ?</p>");
        assert_eq!(decode(&bytes, None), "<p>Où est l’été à Genève ?</p>");
    }

    #[test]
    fn utf_16_with_and_without_its_mark() {
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?><a>{RUSSIAN}</a>");
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(&le, None), text);
        assert_eq!(decode(&be, None), text);
        assert_eq!(decode(&[&[0xff, 0xfe][..], &le].concat(), Some("utf-8")), text);
        assert_eq!(decode(&[&[0xfe, 0xff][..], &be].concat(), None), text);
        // Says UTF-16, is not
        assert_eq!(decode(text.as_bytes(), None), text);
        assert_eq!(decode(b"<?xml encoding='utf-16'?><a/>", Some("utf-16")), "<?xml encoding='utf-16'?><a/>");
    }

    #[test]
    fn a_text_cut_in_a_letter_is_still_utf_8() {
        let bytes = &RUSSIAN.as_bytes()[..RUSSIAN.len() - 30];
        let bytes = &bytes[..bytes.len() - usize::from(std::str::from_utf8(bytes).is_ok())];
        assert!(decode(bytes, None).starts_with("Новости: цены"));
    }

    #[test]
    fn the_charset_of_a_content_type() {
        assert_eq!(of_content_type("text/xml; Charset=\"Windows-1251\""), Some("Windows-1251"));
        assert_eq!(of_content_type("application/rss+xml"), None);
    }
}
