//! Plain text as people write mails: lines of at most 72 characters, links under the text that has them.

use crate::digest::body::{Block, Line};

/// The longest line, links apart.
pub const WIDTH: usize = 72;

/// Breaks text into lines of at most `width` characters. A word that is longer, as links are, has a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut length = 0;
        // No-break spaces are not split at.
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            let chars = word.chars().count();
            if length > 0 && length + 1 + chars > width {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            line.push_str(word);
            length += chars;
        }
        lines.push(line);
    }
    lines
}

/// [`wrap`] at the usual width, as one text.
pub fn wrapped(text: &str) -> String {
    wrap(text, WIDTH).join("\n")
}

/// A title and the line under it.
pub fn underlined(title: &str, with: char) -> String {
    let lines = wrap(title, WIDTH);
    let length = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).min(WIDTH);
    format!("{}\n{}", lines.join("\n"), with.to_string().repeat(length))
}

/// A text and the links in it, which are numbered `[1]` in the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The text, wrapped, without a line break at its end.
    pub text: String,
    /// Where the numbered links lead, in order.
    pub links: Vec<String>,
}

/// Writes blocks as text. A link is numbered unless its text is its address.
pub fn write(blocks: &[Block]) -> Written {
    let mut written = Written::default();
    let lines = written_blocks(blocks, WIDTH, &mut written.links);
    written.text = lines.join("\n");
    written
}

fn written_blocks(blocks: &[Block], width: usize, links: &mut Vec<String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for block in blocks {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        match block {
            Block::Paragraph(line) | Block::Heading(line) => lines.extend(wrap(&marked(line, links), width)),
            Block::Caption(line) => lines.extend(wrap(&format!("[{}]", marked(line, links)), width)),
            Block::Quote(inner) => {
                let inner = written_blocks(inner, width.saturating_sub(2).max(20), links);
                lines.extend(inner.into_iter().map(|line| format!("> {line}").trim_end().to_owned()));
            }
            Block::List { numbered, items } => {
                for (at, item) in items.iter().enumerate() {
                    let bullet = if *numbered { format!("{}. ", at + 1) } else { "- ".to_owned() };
                    let indent = " ".repeat(bullet.len());
                    let inner = written_blocks(item, width.saturating_sub(bullet.len()).max(20), links);
                    lines.extend(inner.into_iter().enumerate().map(|(n, line)| {
                        let start = if n == 0 { &bullet } else { &indent };
                        format!("{start}{line}").trim_end().to_owned()
                    }));
                }
            }
            Block::Preformatted(pre) => lines.extend(pre.lines().map(|line| format!("    {line}"))),
            Block::Rule => lines.push("* * *".to_owned()),
        }
    }
    lines
}

fn marked(line: &Line, links: &mut Vec<String>) -> String {
    let mut text = String::new();
    let mut spans = line.iter().peekable();
    while let Some(span) = spans.next() {
        text.push_str(&span.text);
        let Some(link) = &span.link else { continue };
        // A link over several spans is numbered once, at its end.
        if spans.peek().is_some_and(|next| next.link.as_ref() == Some(link)) || span.text.trim() == link {
            continue;
        }
        let number = match links.iter().position(|known| known == link) {
            Some(at) => at + 1,
            None => {
                links.push(link.clone());
                links.len()
            }
        };
        let spaces = text.len() - text.trim_end_matches(' ').len();
        text.truncate(text.len() - spaces);
        text.push_str(&format!("\u{a0}[{number}]{}", " ".repeat(spaces)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::body::{from_html, from_markdown};

    #[test]
    fn lines_hold_to_the_width_and_links_stay_whole() {
        let long = "https://example.org/a/very/long/address/that/is/longer/than/any/line/may/be/and/yet/whole";
        let lines = wrap(&format!("{} {long} конец", "слово ".repeat(30)), WIDTH);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH || line == long));
        assert!(lines.iter().any(|line| line == long));
        assert_eq!(wrap("a\n\nb", 72), ["a", "", "b"]);
        assert_eq!(underlined("Ёлка", '='), "Ёлка\n====");
    }

    #[test]
    fn links_are_numbered_and_told_once() {
        let html = "<p>See <a href='https://a.example/'>this <b>one</b></a>, <a href='https://b.example/'>that</a> and \
                    <a href='https://a.example/'>this again</a>. https://c.example/</p>";
        let written = write(&from_html(html, "https://x.example/"));
        assert_eq!(
            written.text.replace('\u{a0}', "~"),
            "See this one~[1], that~[2] and this again~[1]. https://c.example/"
        );
        assert_eq!(written.links, ["https://a.example/", "https://b.example/"]);
    }

    #[test]
    fn quotes_and_lists_are_marked_on_each_line() {
        let written = write(&from_markdown("> one\n>\n> two\n\n1. a\n2. b\n\n- c", "https://x.example/"));
        assert_eq!(written.text, "> one\n>\n> two\n\n1. a\n2. b\n\n- c");
    }
}
