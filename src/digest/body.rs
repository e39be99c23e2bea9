//! An article's HTML, or an introduction's Markdown, as blocks that a mail can show.
//!
//! Mail programs know little HTML and no style sheet, so the text is taken apart into paragraphs, quotes, lists and captions
//! and written anew, once for mail, once for the page, once as text. Nothing of the source's markup gets through: what is
//! not in [`Block`] cannot be sent. Pictures are left out (they would have to be fetched from somewhere); their captions stay.

use std::collections::{HashMap, HashSet};

/// One piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A paragraph.
    Paragraph(Line),
    /// A heading inside the text.
    Heading(Line),
    /// A quotation.
    Quote(Vec<Block>),
    /// A list, numbered or not.
    List {
        /// Whether the items are numbered.
        numbered: bool,
        /// The items, each a text of its own.
        items: Vec<Vec<Block>>,
    },
    /// The caption or credit of a picture that is left out.
    Caption(Line),
    /// Text whose line breaks count.
    Preformatted(String),
    /// A rule between two parts.
    Rule,
}

/// A line of text with what is marked in it.
pub type Line = Vec<Span>;

/// A run of text in one voice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// The text; `\n` alone is a line break.
    pub text: String,
    /// Printed bold.
    pub strong: bool,
    /// Printed italic.
    pub emphasis: bool,
    /// Where it leads.
    pub link: Option<String>,
}

/// The blocks of sanitised or unsanitised HTML; links are resolved against `base`.
pub fn from_html(html: &str, base: &str) -> Vec<Block> {
    let mut reader = Reader::default();
    let clean = cleaner(base).clean(html).to_string();
    for token in tokens(&clean) {
        reader.take(token);
    }
    reader.finish()
}

/// The blocks of Markdown. Raw HTML in it is shown as it was typed.
pub fn from_markdown(markdown: &str, base: &str) -> Vec<Block> {
    use pulldown_cmark::{Event, Parser, html};
    let events = Parser::new(markdown).map(|event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        Event::SoftBreak => Event::Text(" ".into()),
        other => other,
    });
    let mut out = String::with_capacity(markdown.len() * 2);
    html::push_html(&mut out, events);
    from_html(&out, base)
}

/// The text of a line, without marks.
pub fn plain(line: &Line) -> String {
    line.iter().map(|span| span.text.replace('\n', " ")).collect()
}

/// The first paragraph's text: what stands for an article that brings no summary.
pub fn opening(blocks: &[Block]) -> Option<String> {
    blocks.iter().find_map(|block| match block {
        Block::Paragraph(line) => Some(plain(line).trim().to_owned()).filter(|text| !text.is_empty()),
        Block::Quote(inner) => opening(inner),
        _ => None,
    })
}

fn cleaner(base: &str) -> ammonia::Builder<'static> {
    let mut cleaner = ammonia::Builder::empty();
    cleaner
        .tags(HashSet::from([
            "a",
            "b",
            "blockquote",
            "br",
            "caption",
            "cite",
            "dd",
            "div",
            "dt",
            "em",
            "figcaption",
            "figure",
            "footer",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "header",
            "hr",
            "i",
            "img",
            "li",
            "ol",
            "p",
            "pre",
            "section",
            "strong",
            "td",
            "th",
            "tr",
            "ul",
        ]))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"])), ("img", HashSet::from(["alt"]))]))
        .clean_content_tags(HashSet::from([
            "script", "style", "iframe", "object", "video", "audio", "form", "button", "svg", "math", "template",
            "noscript",
        ]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .link_rel(None);
    if let Ok(base) = ammonia::Url::parse(base) {
        cleaner.url_relative(ammonia::UrlRelative::RewriteWithBase(base));
    }
    cleaner
}

enum Token<'a> {
    Open(&'a str, &'a str),
    Close(&'a str),
    Text(&'a str),
}

/// Takes apart what ammonia wrote: names in lower case, attributes in double quotes, `<` and `>` nowhere else in text.
fn tokens(clean: &str) -> impl Iterator<Item = Token<'_>> {
    let mut rest = clean;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(tag) = rest.strip_prefix('<') else {
            let end = rest.find('<').unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            rest = after;
            return Some(Token::Text(text));
        };
        let end = tag_end(tag);
        let inside = &tag[..end];
        rest = tag.get(end + 1..).unwrap_or("");
        Some(match inside.strip_prefix('/') {
            Some(name) => Token::Close(name),
            None => {
                let (name, attributes) = inside.split_once(' ').unwrap_or((inside, ""));
                Token::Open(name, attributes)
            }
        })
    })
}

/// Where a tag ends: at the first `>` outside quotes (ammonia does not escape it within).
fn tag_end(tag: &str) -> usize {
    let mut quoted = false;
    for (at, byte) in tag.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'>' if !quoted => return at,
            _ => {}
        }
    }
    tag.len()
}

/// The value of an attribute, where the tag has it in double quotes.
pub(super) fn attribute(attributes: &str, name: &str) -> Option<String> {
    let from = attributes.find(&format!("{name}=\""))? + name.len() + 2;
    let value = &attributes[from..];
    Some(unescape(&value[..value.find('"')?]))
}

fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&nbsp;", "\u{a0}")
        .replace("&#38;", "&")
        .replace("&amp;", "&")
}

/// Builds blocks from tokens. What is open is a stack of containers; text goes to the line at its top.
#[derive(Default)]
struct Reader {
    done: Vec<Block>,
    open: Vec<Container>,
    line: Line,
    strong: usize,
    emphasis: usize,
    links: Vec<String>,
    heading: bool,
    caption: usize,
    pre: Option<String>,
    /// The description of a picture, kept until we know whether a caption follows.
    pictured: Option<String>,
    figures: usize,
}

enum Container {
    Quote(Vec<Block>),
    List { numbered: bool, items: Vec<Vec<Block>> },
    Item(Vec<Block>),
}

impl Reader {
    fn take(&mut self, token: Token<'_>) {
        match token {
            Token::Text(text) => self.text(&unescape(text)),
            Token::Open(name, attributes) => self.open(name, attributes),
            Token::Close(name) => self.close(name),
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(pre) = &mut self.pre {
            pre.push_str(text);
            return;
        }
        // A no-break space is text; every other run of white space is one space.
        let mut words = String::with_capacity(text.len());
        for c in text.chars() {
            if c.is_whitespace() && c != '\u{a0}' && c != '\u{202f}' {
                if !words.ends_with(' ') {
                    words.push(' ');
                }
            } else if !c.is_control() {
                words.push(c);
            }
        }
        let after_space = self.line.last().is_none_or(|span| span.text.ends_with([' ', '\n']));
        let words = if after_space { words.trim_start_matches(' ') } else { &words };
        if words.is_empty() {
            return;
        }
        let span = Span {
            text: words.to_owned(),
            strong: self.strong > 0,
            emphasis: self.emphasis > 0,
            link: self.links.last().filter(|link| !link.is_empty()).cloned(),
        };
        match self.line.last_mut() {
            Some(last) if last.strong == span.strong && last.emphasis == span.emphasis && last.link == span.link => {
                last.text.push_str(&span.text);
            }
            _ => self.line.push(span),
        }
    }

    fn open(&mut self, name: &str, attributes: &str) {
        match name {
            "strong" | "b" => self.strong += 1,
            "em" | "i" | "cite" => self.emphasis += 1,
            "a" => self.links.push(attribute(attributes, "href").unwrap_or_default()),
            "br" => self.line_break(),
            "img" => {
                let alt = attribute(attributes, "alt").unwrap_or_default();
                self.end_line();
                self.pictured = Some(alt.trim().to_owned());
                if self.figures == 0 {
                    self.settle_picture();
                }
            }
            "hr" => {
                self.end_line();
                self.put(Block::Rule);
            }
            "td" | "th" => {
                if !self.line.is_empty() {
                    self.text(" · ");
                }
            }
            "pre" => {
                self.end_line();
                self.pre = Some(String::new());
            }
            _ => {
                self.end_line();
                match name {
                    "blockquote" => self.open.push(Container::Quote(Vec::new())),
                    "ul" | "ol" => self.open.push(Container::List { numbered: name == "ol", items: Vec::new() }),
                    "li" => self.open.push(Container::Item(Vec::new())),
                    "figure" => self.figures += 1,
                    "figcaption" | "caption" => self.caption += 1,
                    _ => self.heading = name.len() == 2 && name.starts_with('h'),
                }
            }
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "strong" | "b" => self.strong = self.strong.saturating_sub(1),
            "em" | "i" | "cite" => self.emphasis = self.emphasis.saturating_sub(1),
            "a" => {
                self.links.pop();
            }
            "td" | "th" => {}
            "pre" => {
                if let Some(pre) = self.pre.take().filter(|pre| !pre.trim().is_empty()) {
                    self.put(Block::Preformatted(pre.trim_matches('\n').to_owned()));
                }
            }
            _ => {
                self.end_line();
                match name {
                    "figcaption" | "caption" => self.caption = self.caption.saturating_sub(1),
                    "figure" => {
                        self.figures = self.figures.saturating_sub(1);
                        self.settle_picture();
                    }
                    "blockquote" | "ul" | "ol" | "li" => self.close_container(),
                    _ => {}
                }
            }
        }
    }

    /// One break is a break; two in a row end the paragraph, as feeds without `<p>` mean it.
    fn line_break(&mut self) {
        match self.line.last_mut() {
            None => {}
            Some(last) if last.text == "\n" => self.end_line(),
            Some(last) => {
                last.text.truncate(last.text.trim_end_matches(' ').len());
                self.line.push(Span { text: "\n".to_owned(), ..Span::default() });
            }
        }
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        while let Some(last) = line.last_mut() {
            last.text.truncate(last.text.trim_end_matches([' ', '\n']).len());
            if !last.text.is_empty() {
                break;
            }
            line.pop();
        }
        let heading = std::mem::take(&mut self.heading);
        if line.iter().all(|span| span.text.trim().is_empty()) {
            return;
        }
        if self.caption > 0 {
            self.pictured = None;
            self.put(Block::Caption(line));
        } else if heading {
            self.put(Block::Heading(line));
        } else {
            self.put(Block::Paragraph(line));
        }
    }

    /// A picture without a caption leaves its description.
    fn settle_picture(&mut self) {
        if let Some(alt) = self.pictured.take().filter(|alt| !alt.is_empty()) {
            self.put(Block::Caption(vec![Span { text: alt, ..Span::default() }]));
        }
    }

    fn put(&mut self, block: Block) {
        match self.open.last_mut() {
            None => self.done.push(block),
            Some(Container::Quote(blocks) | Container::Item(blocks)) => blocks.push(block),
            Some(Container::List { items, .. }) => items.push(vec![block]),
        }
    }

    fn close_container(&mut self) {
        match self.open.pop() {
            None => {}
            Some(Container::Quote(blocks)) if blocks.is_empty() => {}
            Some(Container::Quote(blocks)) => self.put(Block::Quote(blocks)),
            Some(Container::List { items, .. }) if items.is_empty() => {}
            Some(Container::List { numbered, items }) => self.put(Block::List { numbered, items }),
            Some(Container::Item(blocks)) => match self.open.last_mut() {
                _ if blocks.is_empty() => {}
                Some(Container::List { items, .. }) => items.push(blocks),
                // An item outside a list: what it says is kept.
                _ => blocks.into_iter().for_each(|block| self.put(block)),
            },
        }
    }

    fn finish(mut self) -> Vec<Block> {
        self.end_line();
        self.settle_picture();
        while !self.open.is_empty() {
            self.close_container();
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://paper.example/2025/10/story";

    fn text(blocks: &[Block]) -> Vec<String> {
        blocks
            .iter()
            .map(|block| match block {
                Block::Paragraph(line) => plain(line),
                Block::Heading(line) => format!("# {}", plain(line)),
                Block::Caption(line) => format!("[{}]", plain(line)),
                Block::Quote(inner) => format!("> {}", text(inner).join(" / ")),
                Block::List { numbered, items } => {
                    let items: Vec<_> = items.iter().map(|item| text(item).join(" / ")).collect();
                    format!("{} {}", if *numbered { "1." } else { "-" }, items.join("; "))
                }
                Block::Preformatted(pre) => format!("|{pre}|"),
                Block::Rule => "---".to_owned(),
            })
            .collect()
    }

    #[test]
    fn an_article_becomes_paragraphs_quotes_lists_and_headings() {
        let html = "<div><p>One <b>bold</b> and <em>soft</em>.</p><h2>Part two</h2><blockquote><p>A</p><p>B</p></blockquote>\
                    <ol><li>first</li><li><p>second</p></li></ol><hr><pre>a\n  b</pre>tail</div>";
        assert_eq!(
            text(&from_html(html, BASE)),
            ["One bold and soft.", "# Part two", "> A / B", "1. first; second", "---", "|a\n  b|", "tail"]
        );
    }

    #[test]
    fn pictures_go_and_their_captions_stay() {
        let html = "<figure><img src='x.jpg' alt='A ferry'><figcaption>A ferry at dawn. <i>M. Orlova</i></figcaption></figure>\
                    <p><img alt='A map'></p><figure><img alt='Snow'></figure><img src='pixel.gif'>";
        assert_eq!(text(&from_html(html, BASE)), ["[A ferry at dawn. M. Orlova]", "[A map]", "[Snow]"]);
    }

    #[test]
    fn scripts_and_dangerous_links_do_not_get_through() {
        let html = "<p onclick='x()'>Hi<script>alert(1)</script> <a href='javascript:alert(1)'>there</a>\
                    <a href='/about?a=1&amp;b=\"2\"'>us</a></p><svg><a href='https://evil.example'>x</a></svg>";
        let blocks = from_html(html, BASE);
        let Block::Paragraph(line) = &blocks[0] else { panic!("{blocks:?}") };
        assert_eq!(plain(line), "Hi thereus");
        let links: Vec<_> = line.iter().filter_map(|span| span.link.as_deref()).collect();
        assert_eq!(links, ["https://paper.example/about?a=1&b=%222%22"]);
        assert_eq!(blocks.len(), 1);
    }

    #[test]
    fn two_breaks_make_a_paragraph_and_one_stays_a_break() {
        assert_eq!(text(&from_html("one<br>two<br><br>three<br>", BASE)), ["one two", "three"]);
    }

    #[test]
    fn raw_html_in_an_introduction_is_shown_as_typed() {
        let blocks = from_markdown(
            "Good **morning** <b>you</b>.\n\n<script>alert(1)</script>\n\n- [a](https://a.example)\n- b",
            BASE,
        );
        assert_eq!(text(&blocks), ["Good morning <b>you</b>.", "<script>alert(1)</script>", "- a; b"]);
    }

    #[test]
    fn any_nesting_comes_to_an_end() {
        for html in [
            "</p></li></ul>",
            "<li>loose",
            "<ul><ul><li>x",
            "<blockquote><ul><li><blockquote>deep",
            "<td>a<td>b",
            "<p>a > b",
        ] {
            assert!(!from_html(html, "not a url").iter().any(|block| matches!(block, Block::Rule)));
        }
        assert_eq!(opening(&from_html("<h2>No</h2><p> </p><p>Yes &amp; no</p>", BASE)).as_deref(), Some("Yes & no"));
    }
}
