//! Signs and checks webhook bodies (docs/callrail.md, "Signature").

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha1::Sha1;

use crate::ids::CompanyId;

/// The header in which `CallRail` sends the signature.
pub const SIGNATURE_HEADER: &str = "signature";

/// The header in which some tools send the same signature. `CallRail` itself does not use it.
pub const ALTERNATIVE_SIGNATURE_HEADER: &str = "x-callrail-signature";

/// How many header values of one request are looked at, so that a request cannot buy work with headers.
const MAX_VALUES: usize = 4;

/// The length of an HMAC-SHA1, in bytes.
pub(crate) const SIGNATURE_LENGTH: usize = 20;

/// The signing key of one company's webhooks.
///
/// A key is *bound* when it was given with its company (`COM…:KEY`): it then proves only bodies of that
/// company. `Debug` shows the company, never the secret.
#[derive(Clone)]
pub struct SigningKey {
    company: Option<CompanyId>,
    secret: String,
    /// The HMAC, keyed and without a body: cloned for each body, so that the key is set up once.
    keyed: Hmac<Sha1>,
}

/// The keys a receiver accepts; the default is none, which proves nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct SigningKeys(Vec<SigningKey>);

/// Why a text is not a signing key. Holds no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigningKey {
    /// Nothing, or nothing after the company.
    #[error("the signing key is empty")]
    Empty,
    /// A space, a control character or a letter outside ASCII.
    #[error("the signing key holds a space, a control character or a letter outside ASCII")]
    NotPrintable,
    /// A colon with something other than a company identifier before it.
    #[error("what stands before the colon is not a company identifier (COM…)")]
    InvalidCompany,
}

/// Why a text is not a list of signing keys. Positions count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigningKeys {
    /// No key at all.
    #[error("the list of signing keys is empty")]
    Empty,
    /// One of the keys is not one.
    #[error("signing key number {position} of the list is not valid")]
    Key {
        /// Which one.
        position: usize,
        /// Why.
        source: InvalidSigningKey,
    },
    /// One secret given for two companies, or bound and unbound: what it proves would depend on the order.
    #[error("signing key number {position} of the list is the same as an earlier one for another company")]
    Repeated {
        /// Which one.
        position: usize,
    },
}

/// Why a body is not proven to come from `CallRail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The request has neither of the two headers.
    #[error("the request carries no signature")]
    Missing,
    /// None of the values is the base64 of 20 bytes.
    #[error("the signature is not the base64 of 20 bytes")]
    Malformed,
    /// No key is configured, so nothing can be proven.
    #[error("no signing key is configured")]
    NoKeys,
    /// No configured key made the signature for these bytes.
    #[error("the signature was made with another key or for other bytes")]
    Mismatch,
    /// The key holds, but is bound to another company than the body names.
    #[error("the signing key belongs to another company than the body names")]
    WrongCompany,
}

impl SigningKey {
    /// Reads `KEY` or `COM…:KEY`; surrounding whitespace is dropped, since secret files end in a newline.
    ///
    /// The key is used as the text it is: `CallRail`'s keys look like hexadecimal and are not decoded.
    pub fn parse(text: &str) -> Result<Self, InvalidSigningKey> {
        let text = text.trim();
        let (company, secret) = match text.split_once(':') {
            Some((company, secret)) => {
                let company =
                    CompanyId::parse(company.trim()).map_err(|_| InvalidSigningKey::InvalidCompany)?;
                (Some(company), secret.trim())
            }
            None => (None, text),
        };
        if secret.is_empty() {
            return Err(InvalidSigningKey::Empty);
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidSigningKey::NotPrintable);
        }
        // HMAC takes keys of every length, so the error cannot occur; it is mapped rather than unwrapped.
        let keyed = Hmac::new_from_slice(secret.as_bytes()).map_err(|_| InvalidSigningKey::Empty)?;
        Ok(Self {
            company,
            secret: secret.to_owned(),
            keyed,
        })
    }

    /// The company the key is bound to, if any.
    pub fn company(&self) -> Option<&CompanyId> {
        self.company.as_ref()
    }

    /// Whether a body that this key proved may speak for `company`, the company it names.
    ///
    /// A bound key is good for its own company and for bodies that name none; otherwise one company's key
    /// could forge the calls of another. An unbound key is good for all.
    pub fn allows(&self, company: Option<&CompanyId>) -> Result<(), SignatureError> {
        match (&self.company, company) {
            (Some(own), Some(named)) if own != named => Err(SignatureError::WrongCompany),
            _ => Ok(()),
        }
    }

    /// The bytes of the key.
    pub(crate) fn secret(&self) -> &[u8] {
        self.secret.as_bytes()
    }

    fn hmac_of(&self, body: &[u8]) -> Hmac<Sha1> {
        let mut hmac = self.keyed.clone();
        hmac.update(body);
        hmac
    }
}

impl SigningKeys {
    /// Reads a comma-separated list of `KEY` and `COM…:KEY`. Whitespace around them and empty items are
    /// dropped, as is a key given twice in the same way.
    pub fn parse(text: &str) -> Result<Self, InvalidSigningKeys> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let mut keys: Vec<SigningKey> = Vec::new();
        for (index, item) in items.enumerate() {
            let position = index + 1;
            let key =
                SigningKey::parse(item).map_err(|source| InvalidSigningKeys::Key { position, source })?;
            match keys.iter().find(|earlier| earlier.secret == key.secret) {
                None => keys.push(key),
                Some(earlier) if earlier.company == key.company => {}
                Some(_) => return Err(InvalidSigningKeys::Repeated { position }),
            }
        }
        if keys.is_empty() {
            Err(InvalidSigningKeys::Empty)
        } else {
            Ok(Self(keys))
        }
    }

    /// Whether there is no key, so that nothing can be proven.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &SigningKey> {
        self.0.iter()
    }

    /// Whether webhooks of this company that are signed with `key` would be accepted.
    pub fn accept(&self, key: &SigningKey, company: &CompanyId) -> bool {
        // What the key signs must hold for those that are here: nothing else is ever asked of a key.
        let body = b"{}";
        self.verify([sign(key, body)], body)
            .is_ok_and(|accepting| accepting.allows(Some(company)).is_ok())
    }

    /// Finds the key that signed exactly these bytes.
    ///
    /// `signatures` are the values of the headers [`SIGNATURE_HEADER`] and [`ALTERNATIVE_SIGNATURE_HEADER`];
    /// the first four are looked at, and one that holds is enough. The comparison takes constant time, and a
    /// body is hashed once a key. Without keys the answer is [`SignatureError::NoKeys`], whatever the request
    /// carries. Ask [`SigningKey::allows`] of the key returned once the body is read.
    pub fn verify<S: AsRef<[u8]>>(
        &self,
        signatures: impl IntoIterator<Item = S>,
        body: &[u8],
    ) -> Result<&SigningKey, SignatureError> {
        if self.is_empty() {
            return Err(SignatureError::NoKeys);
        }
        let mut any_value = false;
        let signatures: Vec<[u8; SIGNATURE_LENGTH]> = signatures
            .into_iter()
            .take(MAX_VALUES)
            .inspect(|_| any_value = true)
            .filter_map(|value| decode(value.as_ref()))
            .collect();
        if !any_value {
            return Err(SignatureError::Missing);
        }
        if signatures.is_empty() {
            return Err(SignatureError::Malformed);
        }
        let proves = |key: &SigningKey| {
            let hmac = key.hmac_of(body);
            signatures
                .iter()
                .any(|signature| hmac.clone().verify_slice(signature).is_ok())
        };
        self.0
            .iter()
            .find(|key| proves(key))
            .ok_or(SignatureError::Mismatch)
    }
}

/// Signs a body as `CallRail` does: for simulators and probes.
pub fn sign(key: &SigningKey, body: &[u8]) -> String {
    STANDARD.encode(key.hmac_of(body).finalize().into_bytes())
}

/// The 20 bytes of a signature, or nothing for any other text.
pub(crate) fn decode(value: &[u8]) -> Option<[u8; SIGNATURE_LENGTH]> {
    STANDARD.decode(value).ok()?.try_into().ok()
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SigningKey")
            .field("company", &self.company)
            .field("secret", &format_args!("[redacted]"))
            .finish_non_exhaustive()
    }
}

impl FromStr for SigningKey {
    type Err = InvalidSigningKey;

    fn from_str(text: &str) -> Result<Self, InvalidSigningKey> {
        Self::parse(text)
    }
}

impl FromStr for SigningKeys {
    type Err = InvalidSigningKeys;

    fn from_str(text: &str) -> Result<Self, InvalidSigningKeys> {
        Self::parse(text)
    }
}

impl TryFrom<String> for SigningKeys {
    type Error = InvalidSigningKeys;

    fn try_from(text: String) -> Result<Self, InvalidSigningKeys> {
        Self::parse(&text)
    }
}

impl FromIterator<SigningKey> for SigningKeys {
    /// Keeps all keys as given; of two with one secret, the first is the one that [`SigningKeys::verify`]
    /// finds.
    fn from_iter<I: IntoIterator<Item = SigningKey>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "072e77e426f92738a72fe23c4d1953b4";
    const OTHER_KEY: &str = "ffffffffffffffffffffffffffffffff";
    const VECTOR_SIGNATURE: &str = "UZAHbUdfm3GqL7qzilGozGzWV64=";
    const VECTOR: &[u8] = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/data/webhooks/signature-test-vector.json"
    ));

    fn keys(text: &str) -> SigningKeys {
        SigningKeys::parse(text).unwrap()
    }

    #[test]
    fn the_published_vector_verifies() {
        assert_eq!(VECTOR.len(), 2279);
        assert!(keys(KEY).verify([VECTOR_SIGNATURE], VECTOR).is_ok());
        assert_eq!(sign(&SigningKey::parse(KEY).unwrap(), VECTOR), VECTOR_SIGNATURE);
    }

    #[test]
    fn a_trailing_newline_is_refused() {
        let body = [VECTOR, b"\n"].concat();
        assert_eq!(
            keys(KEY).verify([VECTOR_SIGNATURE], &body).unwrap_err(),
            SignatureError::Mismatch
        );
        assert_eq!(
            sign(&SigningKey::parse(KEY).unwrap(), &body),
            "slJqKZkCtpJp2y989jy0zSM7tz4="
        );
    }

    #[test]
    fn every_sample_delivery_verifies() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/webhooks/");
        let table = std::fs::read_to_string(format!("{folder}SIGNATURES.tsv")).unwrap();
        let mut verified = 0;
        for row in table.lines().filter(|row| !row.starts_with('#')).skip(1) {
            let columns: Vec<&str> = row.split('\t').collect();
            let [file, bytes, signature] = columns[..] else {
                panic!("{row:?} has not three columns")
            };
            let body = std::fs::read(format!("{folder}{file}")).unwrap();
            assert_eq!(body.len().to_string(), bytes, "{file}");
            assert!(keys(KEY).verify([signature], &body).is_ok(), "{file}");
            verified += 1;
        }
        assert_eq!(verified, 18);
    }

    #[test]
    fn one_of_several_keys_and_values_is_enough() {
        let keys = keys(&format!("{OTHER_KEY}, COM1:{KEY}"));
        let key = keys.verify(["junk", VECTOR_SIGNATURE], VECTOR).unwrap();
        assert_eq!(key.company(), Some(&CompanyId::parse("COM1").unwrap()));
        let as_slices: &[&[u8]] = &[b"junk", VECTOR_SIGNATURE.as_bytes()];
        assert!(keys.verify(as_slices, VECTOR).is_ok());
    }

    #[test]
    fn a_fifth_value_is_not_looked_at() {
        let mut values = vec!["junk"; 4];
        values.push(VECTOR_SIGNATURE);
        assert_eq!(
            keys(KEY).verify(&values, VECTOR).unwrap_err(),
            SignatureError::Malformed
        );
        values.remove(0);
        assert!(keys(KEY).verify(&values, VECTOR).is_ok());
    }

    #[test]
    fn each_failure_says_which_it_is() {
        let none: [&str; 0] = [];
        let keys = keys(KEY);
        assert_eq!(keys.verify(none, VECTOR).unwrap_err(), SignatureError::Missing);
        for malformed in [
            "",
            "AAAA",
            &VECTOR_SIGNATURE[..27],
            " UZAHbUdfm3GqL7qzilGozGzWV64=",
            "!",
        ] {
            assert_eq!(
                keys.verify([malformed], VECTOR).unwrap_err(),
                SignatureError::Malformed
            );
        }
        let zeros = STANDARD.encode([0; SIGNATURE_LENGTH]);
        assert_eq!(
            keys.verify([&zeros], VECTOR).unwrap_err(),
            SignatureError::Mismatch
        );
        let default = SigningKeys::default();
        assert_eq!(
            default.verify([VECTOR_SIGNATURE], VECTOR).unwrap_err(),
            SignatureError::NoKeys
        );
        assert_eq!(default.verify(none, VECTOR).unwrap_err(), SignatureError::NoKeys);
    }

    #[test]
    fn a_bound_key_speaks_for_its_company_only() {
        let [one, two] = ["COM1", "COM2"].map(|id| CompanyId::parse(id).unwrap());
        let bound = SigningKey::parse(&format!("COM1:{KEY}")).unwrap();
        assert_eq!(bound.allows(Some(&one)), Ok(()));
        assert_eq!(bound.allows(None), Ok(()));
        assert_eq!(bound.allows(Some(&two)), Err(SignatureError::WrongCompany));
        assert_eq!(SigningKey::parse(KEY).unwrap().allows(Some(&two)), Ok(()));
    }

    #[test]
    fn webhooks_of_a_company_are_accepted_with_its_key_alone() {
        let company = CompanyId::parse("COM1").unwrap();
        let key = SigningKey::parse(KEY).unwrap();
        for accepting in [KEY, "COM1:072e77e426f92738a72fe23c4d1953b4"] {
            assert!(keys(accepting).accept(&key, &company), "{accepting}");
        }
        for refusing in [OTHER_KEY, "COM2:072e77e426f92738a72fe23c4d1953b4"] {
            assert!(!keys(refusing).accept(&key, &company), "{refusing}");
        }
        assert!(!SigningKeys::default().accept(&key, &company));
    }

    #[test]
    fn keys_are_trimmed_and_unreadable_ones_refused() {
        assert_eq!(SigningKey::parse(" key\n").unwrap().secret(), b"key");
        assert_eq!(SigningKey::parse("COM1: key").unwrap().secret(), b"key");
        for (text, error) in [
            ("", InvalidSigningKey::Empty),
            (" \n", InvalidSigningKey::Empty),
            ("COM1:", InvalidSigningKey::Empty),
            ("two words", InvalidSigningKey::NotPrintable),
            ("ke\u{7}y", InvalidSigningKey::NotPrintable),
            ("schlüssel", InvalidSigningKey::NotPrintable),
            ("123:key", InvalidSigningKey::InvalidCompany),
        ] {
            assert_eq!(SigningKey::parse(text).unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn a_list_of_keys_says_which_is_wrong() {
        assert_eq!(SigningKeys::parse(" , ").unwrap_err(), InvalidSigningKeys::Empty);
        let source = InvalidSigningKey::NotPrintable;
        assert_eq!(
            SigningKeys::parse("a,b c").unwrap_err(),
            InvalidSigningKeys::Key { position: 2, source }
        );
        for repeated in ["a,COM1:a", "COM1:a,COM2:a"] {
            let error = InvalidSigningKeys::Repeated { position: 2 };
            assert_eq!(SigningKeys::parse(repeated).unwrap_err(), error);
        }
        assert_eq!(keys("a,a,").iter().count(), 1);
        assert_eq!(
            keys("a,b")
                .iter()
                .cloned()
                .collect::<SigningKeys>()
                .iter()
                .count(),
            2
        );
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let shown = format!("{:?}", keys(&format!("COM1:{KEY}")));
        assert!(shown.contains("[redacted]") && shown.contains("COM1"), "{shown}");
        assert!(!shown.contains(KEY), "{shown}");
    }
}
