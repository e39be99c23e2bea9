//! The mails to somebody who signed up: the truth, told where only they read it.
//!
//! The one to a stranger names no newsroom, neither in sender nor in text: whoever types somebody else's address into
//! the form must not put them in danger by it.

use super::Standing;
use crate::address::Address;
use crate::mail::Message;
use crate::newsroom::Newsletter;
use crate::words::Words;
use askama::Template;

#[derive(Template)]
#[template(path = "letter.html")]
struct Html<'a> {
    words: Words,
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "letter.txt", escape = "none")]
struct Text<'a> {
    letter: &'a Letter,
}

/// A short letter: what it says, one button where there is something to press.
struct Letter {
    subject: String,
    paragraphs: Vec<String>,
    button: Option<(String, String)>,
    after: String,
}

/// The mail that answers a sign-up. `link` is the confirmation's, or the preferences' for those who read us already.
pub fn answer(
    words: Words,
    to: &Address,
    newsletter: &Newsletter,
    standing: Standing,
    link: &str,
) -> Result<Message, askama::Error> {
    let say = |key: &str| words.say1(key, "name", &newsletter.name);
    let (subject, lede, button) = match standing {
        Standing::New => {
            ("subscribers-mail-confirm-subject", "subscribers-mail-confirm-lede", "subscribers-mail-confirm-button")
        }
        Standing::Suppressed => {
            ("subscribers-mail-back-subject", "subscribers-mail-back-lede", "subscribers-mail-confirm-button")
        }
        Standing::Reading => {
            ("subscribers-mail-reading-subject", "subscribers-mail-reading-lede", "subscribers-mail-preferences-button")
        }
        Standing::Paused => {
            ("subscribers-mail-paused-subject", "subscribers-mail-paused-lede", "subscribers-mail-preferences-button")
        }
    };
    let confirms = matches!(standing, Standing::New | Standing::Suppressed);
    let letter = Letter {
        subject: say(subject),
        paragraphs: vec![say(lede)],
        button: Some((say(button), link.to_owned())),
        after: say(if confirms { "subscribers-mail-confirm-after" } else { "subscribers-mail-reading-after" }),
    };
    message(words, to, &letter)
}

/// The mail to an address at which somebody wants to read us from now on. It names no newsroom: it may not be theirs.
pub fn move_here(words: Words, to: &Address, link: &str) -> Result<Message, askama::Error> {
    let letter = Letter {
        subject: words.say("subscribers-mail-confirm-subject"),
        paragraphs: vec![words.say("subscribers-mail-move-lede")],
        button: Some((words.say("subscribers-mail-move-button"), link.to_owned())),
        after: words.say("subscribers-mail-move-after"),
    };
    message(words, to, &letter)
}

/// The last mail to an address that a reader has left for another, which it does not name.
pub fn moved(words: Words, to: &Address) -> Result<Message, askama::Error> {
    let letter = Letter {
        subject: words.say("subscribers-mail-moved-subject"),
        paragraphs: vec![words.say("subscribers-mail-moved-lede")],
        button: None,
        after: words.say("subscribers-mail-moved-after"),
    };
    message(words, to, &letter)
}

fn message(words: Words, to: &Address, letter: &Letter) -> Result<Message, askama::Error> {
    Ok(Message {
        from: None,
        to: to.clone(),
        subject: letter.subject.clone(),
        text: Text { letter }.render()?,
        html: Some(Html { words, letter }.render()?),
        headers: Vec::new(),
    })
}
