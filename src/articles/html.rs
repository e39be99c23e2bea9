//! Foreign HTML made harmless: what a feed or a page says becomes plain text, or a small HTML fit for a mail.
//!
//! A mail program forgives little, and a reader in danger must load nothing from elsewhere. So only paragraphs, headings,
//! lists, quotations, emphasis and links stay; pictures become an address and a caption kept apart from the text; whatever
//! follows readers around (pixels, `utm_…`) goes. The work is in two passes: a rewriting of tokens to the few elements we
//! keep, which also bounds how deep they nest, and then ammonia, which parses as a browser does and is the one we trust.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use reqwest::Url;

/// Open elements beyond this depth are left out: no honest text nests deeper, and some parsers fall over.
const DEEPEST: usize = 64;

/// A piece of HTML, as it comes.
pub(super) enum Piece<'a> {
    /// A start tag
    Open(&'a Tag),
    /// An end tag, by name
    Close(&'a str),
    /// Text, decoded
    Text(&'a str),
}

/// The value of an attribute, trimmed; `None` where it is missing or empty.
pub(super) fn attribute<'a>(tag: &'a Tag, name: &str) -> Option<&'a str> {
    tag.attrs.iter().find(|a| &*a.name.local == name).map(|a| a.value.trim()).filter(|v| !v.is_empty())
}

/// Hands the pieces of `html` to `each`, in order. Scripts and styles come as text after their start tag, as a tokenizer gives them.
pub(super) fn walk(html: &str, each: impl FnMut(Piece<'_>)) {
    struct Sink<F>(RefCell<F>);
    impl<F: FnMut(Piece<'_>)> TokenSink for Sink<F> {
        type Handle = ();
        fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
            let each = &mut *self.0.borrow_mut();
            match token {
                Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                    each(Piece::Open(&tag));
                    return match &*tag.name {
                        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
                        "style" | "iframe" | "noembed" | "noframes" | "xmp" => {
                            TokenSinkResult::RawData(RawKind::Rawtext)
                        }
                        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
                        _ => TokenSinkResult::Continue,
                    };
                }
                Token::TagToken(tag) => each(Piece::Close(&tag.name)),
                Token::CharacterTokens(text) => each(Piece::Text(&text)),
                _ => {}
            }
            TokenSinkResult::Continue
        }
    }
    let input = BufferQueue::default();
    input.push_back(html.into());
    let tokens = Tokenizer::new(Sink(RefCell::new(each)), TokenizerOpts::default());
    let _ = tokens.feed(&input);
    tokens.end();
}

/// Elements whose content is never text for a reader.
fn is_silent(name: &str) -> bool {
    matches!(
        name,
        "script"
            | "style"
            | "iframe"
            | "object"
            | "video"
            | "audio"
            | "svg"
            | "canvas"
            | "math"
            | "button"
            | "select"
            | "textarea"
            | "template"
            | "noembed"
            | "noframes"
            | "title"
            | "nav"
    )
}

/// Elements that stand in a line of their own.
fn is_block(name: &str) -> bool {
    matches!(
        name,
        "p" | "div"
            | "br"
            | "li"
            | "ul"
            | "ol"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "tr"
            | "td"
            | "th"
            | "blockquote"
            | "section"
            | "article"
            | "figure"
            | "figcaption"
            | "dt"
            | "dd"
            | "hr"
            | "pre"
            | "table"
    )
}

/// Leaves out what [`is_silent`], keeping count of elements of the same name inside.
#[derive(Default)]
struct Silence {
    inside: Option<(String, usize)>,
}

impl Silence {
    /// Whether this piece belongs to a silent element.
    fn covers(&mut self, piece: &Piece<'_>) -> bool {
        match (&mut self.inside, piece) {
            (None, Piece::Open(tag)) if is_silent(&tag.name) => {
                if !tag.self_closing || matches!(&*tag.name, "script" | "style" | "iframe") {
                    self.inside = Some((tag.name.to_string(), 1));
                }
                true
            }
            (None, _) => false,
            (Some((name, depth)), Piece::Open(tag)) if *tag.name == **name => {
                *depth += 1;
                true
            }
            (Some((name, depth)), Piece::Close(closed)) if *closed == name.as_str() => {
                *depth -= 1;
                if *depth == 0 {
                    self.inside = None;
                }
                true
            }
            _ => true,
        }
    }
}

/// The words of `html` in one line: no tags, entities decoded, white space collapsed (a no-break space is kept:
/// it is how Russian holds a dash to its word).
pub(super) fn plain(html: &str) -> String {
    let mut text = String::with_capacity(html.len().min(4096));
    let mut silence = Silence::default();
    walk(html, |piece| {
        if silence.covers(&piece) {
            return;
        }
        match piece {
            Piece::Open(tag) if is_block(&tag.name) => text.push(' '),
            Piece::Close(name) if is_block(name) => text.push(' '),
            Piece::Text(t) => text.push_str(t),
            _ => {}
        }
    });
    one_line(&text)
}

/// White space collapsed, control characters out: what may stand in a subject line.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut gap = false;
    for c in text.chars() {
        match c {
            '\u{feff}' | '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            '\u{a0}' | '\u{202f}' => {
                gap = false;
                line.push(c);
            }
            c if c.is_whitespace() => gap = true,
            c if c.is_control() => {}
            c => {
                if std::mem::take(&mut gap) && !line.is_empty() {
                    line.push(' ');
                }
                line.push(c);
            }
        }
    }
    line.trim().to_owned()
}

/// At most about `length` characters, cut after a sentence where one ends in the second half, else after a word.
pub(super) fn shorten(text: &str, length: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(length) else {
        return text.to_owned();
    };
    let head = &text[..end];
    let sentence = head
        .match_indices(['.', '!', '?', '…'])
        .filter(|(at, mark)| text[at + mark.len()..].starts_with(char::is_whitespace))
        .map(|(at, mark)| at + mark.len())
        .next_back();
    match sentence {
        Some(at) if at * 2 > head.len() => head[..at].to_owned(),
        _ => {
            let word = head.rfind(char::is_whitespace).unwrap_or(end);
            let kept = head[..word].trim_end_matches(|c: char| c.is_whitespace() || ",;:–—-".contains(c));
            format!("{kept}…")
        }
    }
}

/// An address without what only serves to follow people.
pub(super) fn without_tracking(mut url: Url) -> Url {
    let follows = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("utm_")
            || name.starts_with("mc_")
            || name.starts_with("at_c")
            || name.starts_with("pk_")
            || matches!(
                name.as_str(),
                "fbclid"
                    | "gclid"
                    | "dclid"
                    | "msclkid"
                    | "yclid"
                    | "ysclid"
                    | "twclid"
                    | "igshid"
                    | "wprss"
                    | "cmpid"
                    | "_openstat"
                    | "partner"
                    | "emc"
                    | "ns_mchannel"
                    | "ns_campaign"
                    | "ns_source"
                    | "ito"
                    | "xtor"
            )
    };
    if url.query().is_some() {
        // By hand, so that what stays stays byte for byte as the newsroom wrote it.
        let kept: Vec<&str> = url
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty() && !follows(pair.split('=').next().unwrap_or_default()))
            .collect();
        let kept = kept.join("&");
        url.set_query((!kept.is_empty()).then_some(kept.as_str()));
    }
    url
}

/// A web address as an article or a picture may have it: http or https, with a host, without a password.
pub(super) fn web_address(text: &str, base: Option<&Url>) -> Option<Url> {
    let text = text.trim();
    let url = match base {
        Some(base) => base.join(text).ok()?,
        None => Url::parse(text).ok()?,
    };
    let good = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.as_str().len() <= 2000;
    good.then_some(url)
}

/// A picture that a text showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its address
    pub url: String,
    /// What stood under it, or its description; may be empty
    pub caption: String,
}

/// A text fit for a mail.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// Only `p a h2 h3 h4 ul ol li blockquote em strong br`, links absolute
    pub html: String,
    /// The first picture that is more than an ornament
    pub picture: Option<Picture>,
}

/// Cleans a text. Relative links are taken from `base`; without one they become plain words.
pub(super) fn body(html: &str, base: Option<&Url>) -> Body {
    let mut rewriting = Rewriting::new(base);
    let mut silence = Silence::default();
    walk(html, |piece| {
        if !silence.covers(&piece) {
            rewriting.take(piece);
        }
    });
    let base = base.cloned();
    let cleaned = ammonia::Builder::empty()
        .tags(HashSet::from(["p", "a", "h2", "h3", "h4", "ul", "ol", "li", "blockquote", "em", "strong", "br"]))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"]))]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .link_rel(None)
        .attribute_filter(move |_, _, value| {
            let url = match &base {
                Some(base) => base.join(value.trim()).ok()?,
                None => Url::parse(value.trim()).ok()?,
            };
            Some(without_tracking(url).to_string().into())
        })
        .clean(&rewriting.out)
        .to_string();
    Body { html: without_empty(&cleaned), picture: rewriting.picture }
}

/// The first pass of [`body`].
struct Rewriting<'b> {
    base: Option<&'b Url>,
    out: String,
    /// The elements open, by the names they got
    open: Vec<&'static str>,
    picture: Option<Picture>,
    in_figure: usize,
    /// The picture came from the figure we are in, so its caption goes with it
    picture_is_here: bool,
    caption: Option<String>,
}

impl<'b> Rewriting<'b> {
    fn new(base: Option<&'b Url>) -> Self {
        Rewriting {
            base,
            out: String::new(),
            open: Vec::new(),
            picture: None,
            in_figure: 0,
            picture_is_here: false,
            caption: None,
        }
    }

    fn take(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Text(text) => match &mut self.caption {
                Some(caption) => caption.push_str(text),
                None => escape(&mut self.out, text),
            },
            Piece::Open(tag) => self.open(tag),
            Piece::Close(name) => self.close(name),
        }
    }

    fn open(&mut self, tag: &Tag) {
        match &*tag.name {
            "img" => self.image(tag),
            "br" if self.caption.is_none() => self.out.push_str("<br>"),
            "hr" => self.out.push_str("<p></p>"),
            "figure" => {
                self.in_figure += 1;
                self.picture_is_here = false;
            }
            "figcaption" => self.caption = Some(String::new()),
            name => {
                let Some(kept) = kept_as(name).filter(|_| self.caption.is_none()) else {
                    return;
                };
                if self.open.len() >= DEEPEST {
                    return;
                }
                // A p or li closes itself in HTML; the others are counted until they are closed.
                match self.open.iter().rposition(|o| *o == kept) {
                    Some(at) if kept == "p" => self.open.truncate(at),
                    _ => {}
                }
                self.open.push(kept);
                match attribute(tag, "href").filter(|_| kept == "a") {
                    Some(href) => {
                        self.out.push_str("<a href=\"");
                        escape(&mut self.out, href);
                        self.out.push_str("\">");
                    }
                    None => {
                        let _ = write!(self.out, "<{kept}>");
                    }
                }
            }
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "figure" => self.in_figure = self.in_figure.saturating_sub(1),
            "figcaption" => self.end_caption(),
            "td" | "th" if self.caption.is_none() => self.out.push(' '),
            name => {
                let Some(kept) = kept_as(name).filter(|_| self.caption.is_none()) else {
                    return;
                };
                if let Some(at) = self.open.iter().rposition(|o| *o == kept) {
                    self.open.truncate(at);
                    let _ = write!(self.out, "</{kept}>");
                }
            }
        }
    }

    fn end_caption(&mut self) {
        let Some(caption) = self.caption.take().map(|c| one_line(&c)).filter(|c| !c.is_empty()) else {
            return;
        };
        match &mut self.picture {
            Some(picture) if self.picture_is_here => picture.caption = caption,
            // The picture does not travel with the mail, but what was written under it may be the story.
            _ => {
                self.out.push_str("<p><em>");
                escape(&mut self.out, &caption);
                self.out.push_str("</em></p>");
            }
        }
    }

    fn image(&mut self, tag: &Tag) {
        if self.picture.is_some() {
            return;
        }
        let source = attribute(tag, "src")
            .filter(|s| !s.starts_with("data:"))
            .or_else(|| attribute(tag, "data-src"))
            .or_else(|| attribute(tag, "data-lazy-src"));
        let Some(url) = source.and_then(|s| web_address(s, self.base)) else {
            return;
        };
        let width = attribute(tag, "width").and_then(|w| w.trim_end_matches("px").parse::<u32>().ok());
        let path = url.path().to_ascii_lowercase();
        let photograph = [".jpg", ".jpeg", ".webp", ".avif"].iter().any(|e| path.ends_with(e));
        let worth_it = match width {
            Some(width) => width >= 200,
            None => self.in_figure > 0 || photograph,
        };
        if worth_it {
            self.picture_is_here = self.in_figure > 0;
            self.picture =
                Some(Picture { url: url.into(), caption: one_line(attribute(tag, "alt").unwrap_or_default()) });
        }
    }
}

/// What an element becomes, or `None` for one of which only the content stays.
fn kept_as(name: &str) -> Option<&'static str> {
    Some(match name {
        "p" | "div" | "section" | "article" | "aside" | "tr" | "dt" | "dd" | "pre" | "address" | "center"
        | "summary" | "header" | "footer" | "main" => "p",
        "a" => "a",
        "h1" | "h2" => "h2",
        "h3" => "h3",
        "h4" | "h5" | "h6" => "h4",
        "ul" | "menu" => "ul",
        "ol" => "ol",
        "li" => "li",
        "blockquote" => "blockquote",
        "em" | "i" | "cite" | "dfn" => "em",
        "strong" | "b" => "strong",
        _ => return None,
    })
}

pub(super) fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

/// Plain text as a paragraph or several, parted by empty lines.
pub(super) fn paragraphs(text: &str) -> String {
    let mut out = String::new();
    for paragraph in text.split("\n\n").map(one_line).filter(|p| !p.is_empty()) {
        out.push_str("<p>");
        escape(&mut out, &paragraph);
        out.push_str("</p>\n");
    }
    out
}

/// Leaves out elements that say nothing (a link around a share button that is gone, a spacer paragraph), from the inside out.
/// What comes in is ammonia's output, so its tags are balanced and `<` stands only in tags.
fn without_empty(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    // Where an open element began, and whether something was said in it
    let mut open: Vec<(usize, bool)> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (text, tagged) = rest.split_at(at);
        push_text(&mut out, &mut open, text);
        let end = tagged.find('>').map_or(tagged.len(), |e| e + 1);
        let (tag, after) = tagged.split_at(end);
        rest = after;
        if tag == "<br>" {
            // None at the start of an element, and never more than two in a row
            if open.last().is_some_and(|(_, said)| *said) && !out.ends_with("<br><br>") {
                out.push_str(tag);
            }
        } else if tag.starts_with("</") {
            let Some((start, said)) = open.pop() else { continue };
            if said {
                while out.ends_with("<br>") {
                    out.truncate(out.len() - 4);
                }
                out.push_str(tag);
                if matches!(tag, "</p>" | "</h2>" | "</h3>" | "</h4>" | "</ul>" | "</ol>" | "</blockquote>") {
                    out.push('\n');
                }
                if let Some((_, outer)) = open.last_mut() {
                    *outer = true;
                }
            } else {
                out.truncate(start);
            }
        } else {
            open.push((out.len(), false));
            out.push_str(tag);
        }
    }
    push_text(&mut out, &mut open, rest);
    out.trim().to_owned()
}

fn push_text(out: &mut String, open: &mut [(usize, bool)], text: &str) {
    let says = text.replace("&nbsp;", " ").chars().any(|c| !c.is_whitespace());
    if let Some((_, said)) = open.last_mut() {
        *said |= says;
    }
    // Between blocks one line break is enough, whatever the feed's indentation.
    if says || (!out.ends_with(char::is_whitespace) && !out.ends_with('>')) {
        out.push_str(text);
    } else if !out.ends_with(char::is_whitespace) && !text.is_empty() && !out.is_empty() {
        out.push(if text.contains('\n') { '\n' } else { ' ' });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        Url::parse("https://paper.example/news/today").unwrap() // OK because it is a constant
    }

    fn cleaned(html: &str) -> String {
        body(html, Some(&base())).html
    }

    #[test]
    fn only_what_a_mail_can_show_is_left() {
        assert_eq!(
            cleaned(
                r#"<div style="color:red"><h1>Head</h1><p onclick=x()>One <b>bold</b> &amp; <i>slanted</i>.<script>alert(1)</script></p>
                <iframe src=https://evil.example></iframe><p>Two<br/>lines</p><p>&nbsp;</p><table><tr><td>a</td><td>b</td></tr></table></div>"#
            ),
            "<h2>Head</h2>\n<p>One <strong>bold</strong> &amp; <em>slanted</em>.</p>\n<p>Two<br>lines</p>\n<p>a b </p>"
        );
    }

    #[test]
    fn links_are_absolute_and_follow_nobody() {
        assert_eq!(
            cleaned(
                r##"<p><a href="/x?utm_source=rss&amp;id=7&amp;fbclid=1#top">in</a> <a href="javascript:alert(1)">out</a> <a href="https://a.example/?q=a+b">q</a></p>"##
            ),
            "<p><a href=\"https://paper.example/x?id=7#top\">in</a> <a>out</a> <a href=\"https://a.example/?q=a+b\">q</a></p>"
        );
    }

    #[test]
    fn a_share_button_leaves_nothing_and_a_picture_is_kept_apart() {
        let body = body(
            r#"<p>Text</p><a href="https://share.example/f"><img src="https://share.example/facebook.gif"></a><br clear=both><br>
            <figure><img src="/photo" width="640" alt="A bridge"><figcaption>The <i>bridge</i> at dawn</figcaption></figure>
            <figure><img src="/second.jpg"><figcaption>The second</figcaption></figure><img src="https://pixel.example/1" width=1 height=1>"#,
            Some(&base()),
        );
        assert_eq!(body.html, "<p>Text</p>\n<p><em>The second</em></p>");
        assert_eq!(
            body.picture,
            Some(Picture { url: "https://paper.example/photo".into(), caption: "The bridge at dawn".into() })
        );
    }

    #[test]
    fn absurd_nesting_is_cut_and_quick() {
        for tag in ["b", "div", "blockquote", "a href=x", "ul><li", "p", "svg", "font", "table><tr><td"] {
            let html = format!("<{tag}>").repeat(20_000) + "end";
            assert!(body(&html, None).html.len() < 1_000_000);
            let _ = plain(&html);
        }
    }

    #[test]
    fn plain_text_reads_as_on_the_page() {
        assert_eq!(plain("<p>A &lt;b&gt; &#8216;c&#8217;</p><p>d\n\u{a0}e</p>"), "A <b> ‘c’ d\u{a0}e");
        assert_eq!(plain("5 < 6 & 7<style>p{}</style>"), "5 < 6 & 7");
        assert_eq!(one_line("a\r\nBcc: b\u{202e}\u{7}"), "a Bcc: b");
    }

    #[test]
    fn a_summary_ends_with_a_sentence_or_a_word() {
        assert_eq!(shorten("Short.", 20), "Short.");
        assert_eq!(shorten("One sentence here. And a second one.", 22), "One sentence here.");
        assert_eq!(shorten("Слова без конца и края, дальше", 24), "Слова без конца и края…");
    }
}
