//! The one mail this room writes itself: a test of an issue, to somebody who works on it.

use crate::address::Address;
use crate::digest::render::RenderedEdition;
use crate::mail::Message;
use crate::subscribers::Edition;
use crate::words::Words;

/// A test of one edition. Its subject says that it is one, and of what.
pub fn test(rendered: &RenderedEdition, to: Address, from: String) -> Message {
    let words = Words::of(rendered.language);
    let which = words.say(match rendered.edition {
        Edition::Full => "digest-test-full",
        Edition::Links => "digest-test-links",
        Edition::Plain => "digest-test-plain",
    });
    Message {
        from: Some(from),
        to,
        subject: format!("[Test] {} ({which})", rendered.subject),
        text: rendered.text.clone(),
        html: rendered.html.clone(),
        headers: Vec::new(),
    }
}
