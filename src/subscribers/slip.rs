//! Slips of the finger in the domain of a known mail provider, asked about before a mail goes astray. By the domain
//! alone: what is asked says nothing of who reads us.

use crate::address::Address;

/// What is typed for what is meant.
const SLIPS: [(&str, &str); 16] = [
    ("gmai.com", "gmail.com"),
    ("gmail.con", "gmail.com"),
    ("gmail.co", "gmail.com"),
    ("gmail.ru", "gmail.com"),
    ("gmial.com", "gmail.com"),
    ("gnail.com", "gmail.com"),
    ("hotmail.con", "hotmail.com"),
    ("hotmial.com", "hotmail.com"),
    ("icloud.con", "icloud.com"),
    ("outlok.com", "outlook.com"),
    ("outlook.con", "outlook.com"),
    ("protonmail.con", "protonmail.com"),
    ("protonmial.com", "protonmail.com"),
    ("yaho.com", "yahoo.com"),
    ("yahoo.con", "yahoo.com"),
    ("yandex.ri", "yandex.ru"),
];

/// The address that was probably meant, where it is another one.
pub(super) fn meant(address: &Address) -> Option<String> {
    let (_, better) = SLIPS.iter().find(|(slip, _)| *slip == address.domain())?;
    Some(format!("{}@{better}", address.local()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_asked_about_and_nothing_else_is() {
        let meant = |typed: &str| meant(&Address::parse(typed).unwrap());
        assert_eq!(meant("anna@GMIAL.com").as_deref(), Some("anna@gmail.com"));
        assert_eq!(meant("anna@gmail.com"), None);
        assert_eq!(meant("anna@mail.gmial.com"), None);
    }
}
