//! Sealing, blind indexes and signed links: the only file that touches key bytes.
//!
//! Deleting is not erasing: SQLite's file and log, PostgreSQL's pages and every backup keep what was once written. So an
//! address is sealed before its first write, with a key that lies in a file outside of the database. Whoever has the
//! disk's data without that file has no reader's name.
//!
//! From one secret of 32 random bytes every other key is derived (HKDF-SHA-256, RFC 5869), one for each drawer and use,
//! so that what one drawer holds cannot be joined with another: the index of a subscriber and that of a donor with
//! the same address have nothing in common.
//!
//! | what | how |
//! |---|---|
//! | sealed value | epoch, 24 random octets, XChaCha20-Poly1305; padded, and bound to its drawer and row |
//! | blind index, mark | HMAC-SHA-256, keyed: 10⁹ candidate addresses can be hashed in minutes, but not without the key |
//! | link | a sealed value with purpose and expiry, base64url: different each time, and opaque |
//! | short token | a synthetic IV (HMAC-SHA-256, 128 bits) and XChaCha20, base32: for return paths, where servers fold case |
//!
//! A key file may hold several epochs, one a line. The newest seals, all open. Indexes and marks stay with the oldest
//! until a change of key has rewritten them.

use crate::address::Address;
use crate::clock::Moment;
use chacha20::cipher::StreamCipher;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64URL_NOPAD, Encoding, Specification};
use hmac::{Hmac, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Things of one kind, sealed with a key of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawer {
    /// Who reads.
    Subscribers,
    /// Who gives. Kept so that it cannot be joined with who reads.
    Donors,
    /// Mails on their way.
    Outbox,
    /// Who works here.
    Staff,
}

impl Drawer {
    const ALL: [Drawer; 4] = [Drawer::Subscribers, Drawer::Donors, Drawer::Outbox, Drawer::Staff];

    fn name(self) -> &'static str {
        match self {
            Drawer::Subscribers => "subscribers",
            Drawer::Donors => "donors",
            Drawer::Outbox => "outbox",
            Drawer::Staff => "staff",
        }
    }
}

/// Why a sealed value or the key itself could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It was sealed with another key, for another row, or changed since.
    #[error("a sealed value does not open with this key")]
    DoesNotOpen,
    /// The key file cannot be read or made.
    #[error("the key file {path}: {source}")]
    File {
        /// Its path.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The key file has another form.
    #[error("the key file {path} is not a key of Friday's: each line must be an epoch and 32 octets in base64url")]
    Form {
        /// Its path.
        path: String,
    },
    /// The database belongs to another key.
    #[error(
        "the key file does not belong to this database: put back the key that was there when the database was made"
    )]
    OtherDatabase,
}

/// Why a link is not honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not made by us, or for another purpose.
    #[error("this link was not made here")]
    Forged,
    /// Its time is over.
    #[error("this link has expired")]
    Expired,
}

struct Epoch {
    number: u8,
    seals: [XChaCha20Poly1305; 4],
    links: XChaCha20Poly1305,
    indexes: [Zeroizing<[u8; 32]>; 4],
    marks: Zeroizing<[u8; 32]>,
    short_mac: Zeroizing<[u8; 32]>,
    short_stream: Zeroizing<[u8; 32]>,
}

/// The keys of this newsroom, derived and ready. Prints nothing of itself.
pub struct Keys {
    /// Oldest first, never empty.
    epochs: Vec<Epoch>,
}

const NONCE: usize = 24;
/// Sealed texts are padded to a multiple of this, so that their length says little about an address.
const PAD: usize = 64;
const SHORT_TAG: usize = 16;

static BASE32_LOWER: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    // OK because 32 distinct ASCII symbols are a valid specification.
    specification.encoding().expect("an encoding")
});

impl Keys {
    /// Reads the key file, or makes it (mode 0600) where there is none.
    pub fn open_or_create(path: &Path) -> Result<Keys, KeyError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Keys::from_text(&Zeroizing::new(text), path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Keys::create(path),
            Err(source) => Err(file_error(path, source)),
        }
    }

    fn create(path: &Path) -> Result<Keys, KeyError> {
        let text = Zeroizing::new(format!(
            "# Friday's key. Keep a copy of it apart from the database and its backups: with both, every reader is named.\n1 {}\n",
            BASE64URL_NOPAD.encode(Zeroizing::new(random::<32>()).as_ref())
        ));
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| file_error(path, e))?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = match options.open(path) {
            Ok(file) => file,
            // Another process was faster: its key is the key.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Keys::open_or_create(path),
            Err(source) => return Err(file_error(path, source)),
        };
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| file_error(path, e))?;
        Keys::from_text(&text, path)
    }

    fn from_text(text: &str, path: &Path) -> Result<Keys, KeyError> {
        let form = || KeyError::Form { path: path.display().to_string() };
        let mut epochs = Vec::new();
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let (number, secret) = line.split_once(' ').ok_or_else(form)?;
            let number: u8 = number.parse().map_err(|_| form())?;
            let secret = Zeroizing::new(BASE64URL_NOPAD.decode(secret.trim().as_bytes()).map_err(|_| form())?);
            if secret.len() != 32 || epochs.iter().any(|e: &Epoch| e.number >= number) {
                return Err(form());
            }
            epochs.push(Epoch::derive(number, &secret));
        }
        if epochs.is_empty() { Err(form()) } else { Ok(Keys { epochs }) }
    }

    /// Keys that exist only in this process, for tests.
    pub fn random() -> Keys {
        Keys { epochs: vec![Epoch::derive(1, Zeroizing::new(random::<32>()).as_ref())] }
    }

    fn newest(&self) -> &Epoch {
        // OK because every constructor refuses an empty list.
        self.epochs.last().expect("an epoch")
    }

    fn oldest(&self) -> &Epoch {
        &self.epochs[0]
    }

    /// Seals `plain` for one row of one drawer. 105 octets for up to 62 octets of text, 64 more for each 64 beyond.
    pub fn seal(&self, drawer: Drawer, row: &[u8], plain: &[u8]) -> Vec<u8> {
        let epoch = self.newest();
        let padded = pad(plain);
        seal_with(epoch.number, &epoch.seals[drawer as usize], &bound_to(drawer.name(), row), &padded)
    }

    /// Opens what [`Keys::seal`] made for the same drawer and row.
    pub fn open(&self, drawer: Drawer, row: &[u8], sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let padded = self
            .open_with(sealed, &bound_to(drawer.name(), row), |epoch| &epoch.seals[drawer as usize])
            .ok_or(KeyError::DoesNotOpen)?;
        unpad(&padded).map(<[u8]>::to_vec).ok_or(KeyError::DoesNotOpen)
    }

    /// The blind index of an address in a drawer: 32 octets, the same for every spelling of one mailbox.
    pub fn index(&self, drawer: Drawer, address: &Address) -> Vec<u8> {
        let canonical = Zeroizing::new(address.canonical());
        hmac(&self.oldest().indexes[drawer as usize][..], &[canonical.as_bytes()]).to_vec()
    }

    /// A keyed hash for what must be recognised again but not read: once-keys, message ids, limits by address.
    pub fn mark(&self, purpose: &'static str, data: &[u8]) -> [u8; 32] {
        hmac(&self.oldest().marks[..], &[purpose.as_bytes(), &[0], data])
    }

    /// A link's token: `payload` sealed for one purpose until `expires`. Different each time, URL-safe.
    pub fn link(&self, purpose: &'static str, expires: Option<Moment>, payload: &impl Serialize) -> String {
        let until = expires.map_or(i64::MAX, Moment::millis);
        let mut plain = Zeroizing::new(until.to_le_bytes().to_vec());
        // OK because our payloads are structs and tuples of plain values, which always have a JSON form.
        serde_json::to_writer(&mut *plain, payload).expect("a JSON form");
        let epoch = self.newest();
        BASE64URL_NOPAD.encode(&seal_with(epoch.number, &epoch.links, &bound_to(purpose, &[]), &plain))
    }

    /// Reads a token that [`Keys::link`] made for the same purpose.
    pub fn read_link<T: DeserializeOwned>(
        &self,
        purpose: &'static str,
        token: &str,
        now: Moment,
    ) -> Result<T, LinkError> {
        let sealed = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| LinkError::Forged)?;
        let plain = self.open_with(&sealed, &bound_to(purpose, &[]), |epoch| &epoch.links).ok_or(LinkError::Forged)?;
        let (until, payload) = plain.split_first_chunk::<8>().ok_or(LinkError::Forged)?;
        if now.millis() >= i64::from_le_bytes(*until) {
            return Err(LinkError::Expired);
        }
        serde_json::from_slice(payload).map_err(|_| LinkError::Forged)
    }

    /// An opaque token of letters and digits in one case, always the same for the same data: 45 characters for 12
    /// octets. It reads back to the data and nobody else can make or read it.
    pub fn short_token(&self, purpose: &'static str, data: &[u8]) -> String {
        let epoch = self.oldest();
        let tag = short_tag(epoch, purpose, data);
        let mut token = tag.to_vec();
        token.extend_from_slice(&short_stream(epoch, &tag, data));
        BASE32_LOWER.encode(&token)
    }

    /// The data of a token that [`Keys::short_token`] made for the same purpose, in whatever case it came back.
    pub fn read_short_token(&self, purpose: &'static str, token: &str) -> Option<Vec<u8>> {
        let token = BASE32_LOWER.decode(token.to_ascii_lowercase().as_bytes()).ok()?;
        let (tag, sealed) = token.split_first_chunk::<SHORT_TAG>()?;
        let epoch = self.oldest();
        let data = short_stream(epoch, tag, sealed);
        bool::from(short_tag(epoch, purpose, &data).ct_eq(tag)).then_some(data)
    }

    fn open_with(
        &self,
        sealed: &[u8],
        bound: &[u8],
        cipher: impl Fn(&Epoch) -> &XChaCha20Poly1305,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (&number, rest) = sealed.split_first()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE>()?;
        let epoch = self.epochs.iter().find(|e| e.number == number)?;
        let payload = Payload { msg: text, aad: bound };
        cipher(epoch).decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }
}

impl Epoch {
    fn derive(number: u8, secret: &[u8]) -> Epoch {
        let hkdf = hkdf::Hkdf::<Sha256>::new(Some(b"friday"), secret);
        let key = |use_: &str, name: &str| {
            let mut out = Zeroizing::new([0u8; 32]);
            // OK because 32 octets are far below HKDF's limit of 255 hashes.
            hkdf.expand_multi_info(&[use_.as_bytes(), b"/", name.as_bytes()], &mut out[..]).expect("a key");
            out
        };
        let cipher = |use_: &str, name: &str| XChaCha20Poly1305::new((&*key(use_, name)).into());
        Epoch {
            number,
            seals: Drawer::ALL.map(|d| cipher("seal", d.name())),
            links: cipher("link", ""),
            indexes: Drawer::ALL.map(|d| key("index", d.name())),
            marks: key("mark", ""),
            short_mac: key("short", "mac"),
            short_stream: key("short", "stream"),
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// Whether two tags are the same, in a time that tells nothing about where they differ.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    bool::from(one.ct_eq(other))
}

/// `N` random octets from the system.
#[expect(clippy::disallowed_methods, reason = "the one place that asks for randomness")]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // OK because a system without randomness must not go on: every key and token would be guessable.
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

fn file_error(path: &Path, source: std::io::Error) -> KeyError {
    KeyError::File { path: path.display().to_string(), source }
}

fn bound_to(name: &str, row: &[u8]) -> Vec<u8> {
    [name.as_bytes(), &[0], row].concat()
}

fn seal_with(epoch: u8, cipher: &XChaCha20Poly1305, bound: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce = random::<NONCE>();
    // OK because encryption fails only beyond 256 GiB.
    let text = cipher.encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: bound }).expect("a sealed value");
    [&[epoch], &nonce[..], &text].concat()
}

/// The text, one octet 0x80, zeros up to a multiple of [`PAD`] (ISO/IEC 7816-4).
fn pad(plain: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new(Vec::with_capacity((plain.len() / PAD + 1) * PAD));
    padded.extend_from_slice(plain);
    padded.push(0x80);
    let full = padded.len().next_multiple_of(PAD);
    padded.resize(full, 0);
    padded
}

fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let end = padded.iter().rposition(|&b| b != 0)?;
    (padded[end] == 0x80).then(|| &padded[..end])
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // OK because HMAC takes a key of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn short_tag(epoch: &Epoch, purpose: &str, data: &[u8]) -> [u8; SHORT_TAG] {
    let full = hmac(&epoch.short_mac[..], &[purpose.as_bytes(), &[0], data]);
    // OK because 16 is less than 32.
    *full.first_chunk().expect("a tag")
}

fn short_stream(epoch: &Epoch, tag: &[u8; SHORT_TAG], data: &[u8]) -> Vec<u8> {
    use chacha20::KeyIvInit;
    let mut nonce = [0; NONCE];
    nonce[..SHORT_TAG].copy_from_slice(tag);
    let mut data = data.to_vec();
    chacha20::XChaCha20::new((&*epoch.short_stream).into(), &nonce.into()).apply_keystream(&mut data);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_where_it_belongs() {
        let keys = Keys::random();
        let sealed = keys.seal(Drawer::Subscribers, &[1], b"anna@example.org");
        assert_eq!(keys.open(Drawer::Subscribers, &[1], &sealed).unwrap(), b"anna@example.org");
        assert!(keys.open(Drawer::Subscribers, &[2], &sealed).is_err(), "another row");
        assert!(keys.open(Drawer::Donors, &[1], &sealed).is_err(), "another drawer");
        assert!(Keys::random().open(Drawer::Subscribers, &[1], &sealed).is_err(), "another key");
        let mut changed = sealed.clone();
        changed[40] ^= 1;
        assert!(keys.open(Drawer::Subscribers, &[1], &changed).is_err(), "changed");
        assert_ne!(sealed, keys.seal(Drawer::Subscribers, &[1], b"anna@example.org"));
    }

    #[test]
    fn addresses_of_usual_length_have_the_same_length_sealed() {
        let keys = Keys::random();
        let length = |text: &str| keys.seal(Drawer::Subscribers, &[], text.as_bytes()).len();
        assert_eq!(length("a@b.co"), length("a.rather.long.name.of.somebody@subdomain.example.org"));
        for n in [0, 1, 62, 63, 64, 65, 127, 128, 254] {
            let text = vec![0u8; n];
            assert_eq!(keys.open(Drawer::Staff, &[], &keys.seal(Drawer::Staff, &[], &text)).unwrap(), text);
        }
    }

    #[test]
    fn spellings_of_one_mailbox_share_an_index_and_drawers_do_not() {
        let keys = Keys::random();
        let index = |drawer, text: &str| keys.index(drawer, &Address::parse(text).unwrap());
        assert_eq!(index(Drawer::Subscribers, "Anna@Example.org"), index(Drawer::Subscribers, "anna@example.org"));
        assert_ne!(index(Drawer::Subscribers, "anna@example.org"), index(Drawer::Donors, "anna@example.org"));
    }

    #[test]
    fn a_link_serves_one_purpose_for_its_time() {
        let keys = Keys::random();
        let now = Moment::from_millis(1_000);
        let token = keys.link("confirm", Some(now + crate::clock::DAY), &("anna@example.org", "weekly"));
        let read: (String, String) = keys.read_link("confirm", &token, now).unwrap();
        assert_eq!(read.1, "weekly");
        let wrong = keys.read_link::<(String, String)>("unsubscribe", &token, now);
        assert_eq!(wrong, Err(LinkError::Forged));
        let late = keys.read_link::<(String, String)>("confirm", &token, now + crate::clock::DAY);
        assert_eq!(late, Err(LinkError::Expired));
        assert_eq!(keys.read_link::<(String, String)>("confirm", "x", now), Err(LinkError::Forged));
    }

    #[test]
    fn a_short_token_survives_a_server_that_folds_case() {
        let keys = Keys::random();
        let token = keys.short_token("bounce", &[7; 12]);
        assert_eq!(token.len(), 45);
        assert_eq!(keys.read_short_token("bounce", &token.to_uppercase()), Some(vec![7; 12]));
        assert_eq!(keys.read_short_token("other", &token), None);
        let flipped: String = token.chars().rev().collect();
        assert_eq!(keys.read_short_token("bounce", &flipped), None);
    }

    #[test]
    fn the_key_file_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/friday.key");
        let sealed = Keys::open_or_create(&path).unwrap().seal(Drawer::Staff, &[], b"x");
        assert_eq!(Keys::open_or_create(&path).unwrap().open(Drawer::Staff, &[], &sealed).unwrap(), b"x");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(Keys::open_or_create(&path), Err(KeyError::Form { .. })));
    }
}
