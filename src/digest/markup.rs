//! Blocks written as HTML: for a mail, with every style on its element, and for a page, with none.

use crate::digest::body::{Block, Line};
use std::fmt::Write;

/// How the text looks in the mail around it.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The colour of links.
    pub link: &'a str,
    /// Space above each block, pixels.
    pub gap: u32,
}

const SANS: &str = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";

/// HTML for a mail. Font and colour of plain text come from the cell around it.
pub fn mail(blocks: &[Block], look: Look<'_>) -> String {
    let mut out = String::new();
    for (at, block) in blocks.iter().enumerate() {
        let top = if at == 0 && look.gap < 10 { 0 } else { look.gap };
        mail_block(&mut out, block, look, top);
    }
    out
}

fn mail_block(out: &mut String, block: &Block, look: Look<'_>, top: u32) {
    // Writing to a String does not fail.
    let _ = match block {
        Block::Paragraph(line) => {
            writeln!(out, "<p style=\"margin:{top}px 0 0\">{}</p>", mail_line(line, look))
        }
        Block::Heading(line) => writeln!(
            out,
            "<h4 style=\"margin:{}px 0 0;font-size:18px;line-height:1.3\">{}</h4>",
            top + 8,
            mail_line(line, look)
        ),
        Block::Caption(line) => writeln!(
            out,
            "<p class=\"soft\" style=\"margin:{top}px 0 0;font:14px/1.5 {SANS};color:#565a60\">{}</p>",
            mail_line(line, look)
        ),
        Block::Quote(inner) => {
            // A border on a cell is the only one that Outlook draws; a table has no margin of its own everywhere.
            let inner = mail(inner, Look { gap: look.gap.min(8), ..look });
            writeln!(
                out,
                "<div style=\"height:{top}px;line-height:{top}px;font-size:0\">&nbsp;</div>\n\
                 <table role=\"presentation\" width=\"100%\" style=\"width:100%\"><tr><td class=\"hair ink\" \
                 style=\"padding:0 0 0 16px;border-left:3px solid #dcdad4;font:italic 18px/1.6 Georgia,'Times New Roman',serif;color:#17181a\">\n\
                 <blockquote style=\"margin:0\">{inner}</blockquote></td></tr></table>"
            )
        }
        Block::List { numbered, items } => {
            let tag = if *numbered { "ol" } else { "ul" };
            let items: String = items
                .iter()
                .map(|item| format!("<li style=\"margin:4px 0 0\">{}</li>\n", mail_item(item, look)))
                .collect();
            writeln!(out, "<{tag} style=\"margin:{top}px 0 0;padding:0 0 0 24px\">\n{items}</{tag}>")
        }
        Block::Preformatted(pre) => writeln!(
            out,
            "<pre style=\"margin:{top}px 0 0;font:14px/1.5 Menlo,Consolas,monospace;white-space:pre-wrap\">{}</pre>",
            escaped(pre)
        ),
        Block::Rule => writeln!(out, "<p style=\"margin:{top}px 0 0;text-align:center\">* * *</p>"),
    };
}

/// An item that is one paragraph needs no paragraph inside.
fn mail_item(item: &[Block], look: Look<'_>) -> String {
    match item {
        [Block::Paragraph(line)] => mail_line(line, look),
        [Block::Paragraph(line), rest @ ..] => format!("{}{}", mail_line(line, look), mail(rest, look)),
        other => mail(other, Look { gap: 4, ..look }),
    }
}

fn mail_line(line: &Line, look: Look<'_>) -> String {
    line_with(line, |href| {
        format!("<a class=\"link\" href=\"{}\" style=\"color:{};text-decoration:underline\">", escaped(href), look.link)
    })
}

/// HTML for a page: plain elements, which the page's style sheet dresses.
pub fn page(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        let _ = match block {
            Block::Paragraph(line) => writeln!(out, "<p>{}</p>", page_line(line)),
            Block::Heading(line) => writeln!(out, "<h2>{}</h2>", page_line(line)),
            Block::Caption(line) => writeln!(out, "<p class=\"byline\">{}</p>", page_line(line)),
            Block::Quote(inner) => writeln!(out, "<blockquote>{}</blockquote>", page(inner)),
            Block::List { numbered, items } => {
                let tag = if *numbered { "ol" } else { "ul" };
                let items: String = items
                    .iter()
                    .map(|item| match item.as_slice() {
                        [Block::Paragraph(line)] => format!("<li>{}</li>\n", page_line(line)),
                        other => format!("<li>{}</li>\n", page(other)),
                    })
                    .collect();
                writeln!(out, "<{tag}>\n{items}</{tag}>")
            }
            Block::Preformatted(pre) => writeln!(out, "<pre>{}</pre>", escaped(pre)),
            Block::Rule => writeln!(out, "<hr>"),
        };
    }
    out
}

fn page_line(line: &Line) -> String {
    line_with(line, |href| format!("<a href=\"{}\">", escaped(href)))
}

fn line_with(line: &Line, open: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut inside: Option<&str> = None;
    for span in line {
        if inside != span.link.as_deref() {
            if inside.is_some() {
                out.push_str("</a>");
            }
            inside = span.link.as_deref();
            if let Some(href) = inside {
                out.push_str(&open(href));
            }
        }
        let text = escaped(&span.text).replace('\n', "<br>");
        let text = if span.emphasis { format!("<em>{text}</em>") } else { text };
        out.push_str(&if span.strong { format!("<strong>{text}</strong>") } else { text });
    }
    if inside.is_some() {
        out.push_str("</a>");
    }
    out
}

/// Text escaped for HTML, in text and in double quotes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{a0}' => out.push_str("&nbsp;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::body::from_html;

    #[test]
    fn what_is_written_is_escaped_and_links_are_whole() {
        let html = "<p>1 &lt; 2 &amp; <a href='https://a.example/?x=1&amp;y=\"'>a <b>b</b> c</a><br>“q”</p>";
        let blocks = from_html(html, "https://x.example/");
        assert_eq!(
            page(&blocks),
            "<p>1 &lt; 2 &amp; <a href=\"https://a.example/?x=1&amp;y=&quot;\">a <strong>b</strong> c</a><br>“q”</p>\n"
        );
        let mail = mail(&blocks, Look { link: "#0b5394", gap: 14 });
        assert!(mail.contains("style=\"color:#0b5394;text-decoration:underline\""), "{mail}");
    }
}
