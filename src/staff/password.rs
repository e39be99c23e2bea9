//! Passwords: what is too easy to guess, and Argon2id.
//!
//! Hashing costs 19 MiB and some 20 ms on purpose. It runs off the async threads, and only a few at a time: otherwise a
//! flood of sign-ins would be a flood of memory.

use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

/// The shortest password, in characters.
pub const SHORTEST: usize = 12;
/// The longest, in bytes: long enough for any sentence, too short to make hashing it a burden.
pub const LONGEST: usize = 512;

/// OWASP's smallest recommended Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes that may run at the same time, and how long others wait for their turn.
static TURNS: Semaphore = Semaphore::const_new(3);
const PATIENCE: Duration = Duration::from_secs(10);

/// Checked when there is no password to check against, so that an unknown address takes as long as a known one.
/// The hash of thirty random bytes that nobody kept.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$DKJ+w1h4IemxUwWZGKBJZw$5AUWwFH8RFEiPNCq3AtfYFApDLkUv/1/DBAywzaxU/Y";

/// Why a password is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// Fewer than [`SHORTEST`] characters.
    #[error("At least twelve characters, please. A sentence is easy to remember and hard to guess.")]
    Short,
    /// More than [`LONGEST`] bytes.
    #[error("This is longer than we can take. Five hundred characters are enough.")]
    Long,
    /// One of those that are tried first.
    #[error("This is one of the first that somebody would try. Take a few words that do not belong together.")]
    Common,
}

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Too many at once.
    #[error("too many sign-ins at once")]
    Busy,
    /// A broken hash in the database, or no memory.
    #[error("password hashing failed: {0}")]
    Failed(String),
}

/// The password in the one form in which it is hashed: keyboards write the same letter in different bytes.
fn normal(password: &SecretString) -> SecretString {
    password.expose_secret().nfkc().collect::<String>().into()
}

/// Refuses what is easy to guess. `about` holds words that belong to the person, such as the name of the mailbox.
pub fn check(password: &SecretString, about: &[&str]) -> Result<(), Weak> {
    let normal = normal(password);
    let plain = normal.expose_secret();
    if plain.len() > LONGEST {
        return Err(Weak::Long);
    }
    if plain.chars().count() < SHORTEST {
        return Err(Weak::Short);
    }
    if is_common(&plain.to_lowercase(), about) {
        return Err(Weak::Common);
    }
    Ok(())
}

/// What remains without well-known words, rows of keys, digits and signs must still be something.
fn is_common(password: &str, about: &[&str]) -> bool {
    const WORDS: [&str; 26] = [
        "password",
        "passw0rd",
        "p@ssword",
        "p@ssw0rd",
        "letmein",
        "welcome",
        "admin",
        "administrator",
        "qwertyuiop",
        "qwerty",
        "asdfghjkl",
        "zxcvbnm",
        "1qaz2wsx",
        "iloveyou",
        "changeme",
        "newsletter",
        "newsroom",
        "friday",
        "secret",
        "пароль",
        "йцукенгшщзхъ",
        "йцукен",
        "abcdefghijkl",
        "abcdef",
        "test",
        "login",
    ];
    let mut rest = password.to_owned();
    let own = about.iter().map(|word| word.to_lowercase());
    for word in WORDS.iter().map(|word| (*word).to_owned()).chain(own).filter(|word| word.chars().count() > 3) {
        rest = rest.replace(&word, "");
    }
    let mut letters: Vec<char> = rest.chars().filter(|c| c.is_alphabetic()).collect();
    letters.sort_unstable();
    letters.dedup();
    letters.len() < 4
}

/// Hashes a password for the database.
pub async fn hash(password: &SecretString) -> Result<String, HashingError> {
    let password = normal(password);
    in_turn(move || {
        let hash = argon2()
            .hash_password(password.expose_secret().as_bytes())
            .map_err(|e| HashingError::Failed(e.to_string()))?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether the password is the one that was hashed. Without a hash it is not, and finding out takes as long.
pub async fn verify(password: &SecretString, hash: Option<String>) -> Result<bool, HashingError> {
    let password = normal(password);
    in_turn(move || {
        let stored = hash.as_deref().unwrap_or(NOBODY);
        let stored = PasswordHash::new(stored).map_err(|e| HashingError::Failed(e.to_string()))?;
        // An over-long password is hashed short: the answer is no in any case, and takes no longer.
        let plain = password.expose_secret().as_bytes();
        let right = argon2().verify_password(&plain[..plain.len().min(LONGEST)], &stored).is_ok();
        Ok(right && hash.is_some() && plain.len() <= LONGEST)
    })
    .await
}

fn argon2() -> Argon2<'static> {
    // OK because the three numbers are constants within Argon2's limits, and a test hashes with them.
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("valid parameters");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

async fn in_turn<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
) -> Result<T, HashingError> {
    let turn = tokio::time::timeout(PATIENCE, TURNS.acquire()).await.map_err(|_| HashingError::Busy)?;
    let _turn = turn.map_err(|_| HashingError::Busy)?;
    tokio::task::spawn_blocking(work).await.map_err(|e| HashingError::Failed(e.to_string()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_refused() {
        for easy in [
            "password1234",
            "Passw0rd!!2026",
            "qwertyuiop12",
            "aaaaaaaaaaaa",
            "123456789012",
            "FridayFriday",
            "m.orlovam.orlova",
            "пароль123456",
        ] {
            assert_eq!(check(&easy.to_owned().into(), &["m.orlova"]), Err(Weak::Common), "{easy}");
        }
        assert_eq!(check(&"short".to_owned().into(), &[]), Err(Weak::Short));
        assert_eq!(check(&"x".repeat(600).into(), &[]), Err(Weak::Long));
        for good in ["correct horse battery", "Herring & rye, twice", "семь раз отмерь", "8f3kq0-2mvxb7-11"]
        {
            assert_eq!(check(&good.to_owned().into(), &["m.orlova"]), Ok(()), "{good}");
        }
    }

    #[tokio::test]
    async fn a_password_opens_its_own_hash_and_no_other() {
        let right = SecretString::from("correct horse battery");
        let stored = hash(&right).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify(&right, Some(stored.clone())).await.unwrap());
        assert!(!verify(&"correct horse batterz".to_owned().into(), Some(stored)).await.unwrap());
        assert!(!verify(&right, None).await.unwrap());
    }

    #[test]
    fn nobody_costs_as_much_as_somebody() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(Params::try_from(&nobody).unwrap(), Params::new(MEMORY_KIB, PASSES, LANES, Some(32)).unwrap());
    }
}
