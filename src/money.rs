//! Money: whole minor units and a currency, never a float.
//!
//! How many decimals a currency has is a fact with exceptions, kept in one table (Stripe's "Supported currencies",
//! read in 2026): fifteen without decimals, five with three. UGX and ISK are whole units which Stripe nevertheless takes
//! with two decimals, so they count as two here.

use crate::words::Language;
use std::fmt;

/// An ISO 4217 currency, three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

const NO_DECIMALS: [&str; 15] =
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"];
const THREE_DECIMALS: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];

/// Why a text is not an amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not three letters.
    #[error("a currency is three letters, as in USD")]
    Currency,
    /// Not a number with as many decimals as the currency has.
    #[error("this is not an amount")]
    Amount,
}

impl Currency {
    /// Reads a code in either case.
    pub fn from_code(code: &str) -> Result<Currency, MoneyError> {
        let bytes: [u8; 3] =
            code.trim().to_ascii_uppercase().as_bytes().try_into().map_err(|_| MoneyError::Currency)?;
        if bytes.iter().all(u8::is_ascii_uppercase) { Ok(Currency(bytes)) } else { Err(MoneyError::Currency) }
    }

    /// The code, in capitals.
    pub fn code(&self) -> &str {
        // OK because both constructors take ASCII letters only.
        std::str::from_utf8(&self.0).expect("ASCII")
    }

    /// The code as Stripe writes it.
    pub fn lower(&self) -> String {
        self.code().to_ascii_lowercase()
    }

    /// How many decimals: 0, 2 or 3.
    pub fn exponent(&self) -> u32 {
        if NO_DECIMALS.contains(&self.code()) {
            0
        } else if THREE_DECIMALS.contains(&self.code()) {
            3
        } else {
            2
        }
    }

    /// The usual sign, or the code where there is none that everybody knows.
    pub fn sign(&self) -> &str {
        match &self.0 {
            b"USD" => "$",
            b"EUR" => "€",
            b"GBP" => "£",
            b"JPY" => "¥",
            b"UAH" => "₴",
            b"PLN" => "zł",
            b"KZT" => "₸",
            b"GEL" => "₾",
            b"ILS" => "₪",
            _ => self.code(),
        }
    }

    fn unit(&self) -> i64 {
        10_i64.pow(self.exponent())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in minor units (cents) of a currency. May be below zero, as a refund is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    /// Minor units.
    pub minor: i64,
    /// Of this currency.
    pub currency: Currency,
}

impl Money {
    /// `minor` units of `currency`.
    pub fn new(minor: i64, currency: Currency) -> Money {
        Money { minor, currency }
    }

    /// Whole units of `currency`.
    pub fn major(whole: i64, currency: Currency) -> Money {
        Money { minor: whole.saturating_mul(currency.unit()), currency }
    }

    /// Reads what a person types: `5`, `5.00`, `5,50`. At most as many decimals as the currency has, no sign, no
    /// thousands separator (in `1,000` the comma could be either: it is refused rather than guessed).
    pub fn parse_major(typed: &str, currency: Currency) -> Result<Money, MoneyError> {
        let typed = typed.trim();
        let (whole, fraction) = typed.split_once(['.', ',']).unwrap_or((typed, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let decimals = currency.exponent() as usize;
        if whole.is_empty() || whole.len() > 9 || !digits(whole) || !digits(fraction) || fraction.len() > decimals {
            return Err(MoneyError::Amount);
        }
        if typed.len() > whole.len() && fraction.is_empty() {
            return Err(MoneyError::Amount);
        }
        let padded = format!("{whole}{fraction:0<decimals$}");
        padded.parse().map(|minor| Money { minor, currency }).map_err(|_| MoneyError::Amount)
    }

    /// As a machine reads it: `5.00`.
    pub fn plain(&self) -> String {
        let exponent = self.currency.exponent() as usize;
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.minor.unsigned_abs(), width = exponent + 1);
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        if exponent == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }

    /// As a reader reads it: `$5`, `$1,250.50`; in Russian `5 $`, `1 250,50 $`. Round amounts show no decimals.
    pub fn display(&self, language: Language) -> String {
        let unit = self.currency.unit().unsigned_abs();
        let (whole, rest) = (self.minor.unsigned_abs() / unit, self.minor.unsigned_abs() % unit);
        let (group, point) = match language {
            Language::En => (",", "."),
            Language::Ru => ("\u{a0}", ","),
        };
        let mut number = crate::words::grouped(whole, group);
        if rest > 0 {
            number = format!("{number}{point}{rest:0>width$}", width = self.currency.exponent() as usize);
        }
        let minus = if self.minor < 0 { "−" } else { "" };
        let sign = self.currency.sign();
        match language {
            Language::En if sign.chars().count() > 1 => format!("{minus}{sign}\u{a0}{number}"),
            Language::En => format!("{minus}{sign}{number}"),
            Language::Ru => format!("{minus}{number}\u{a0}{sign}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(typed: &str, code: &str) -> Result<Money, MoneyError> {
        Money::parse_major(typed, Currency::from_code(code).unwrap())
    }

    #[test]
    fn what_is_typed_becomes_minor_units() {
        for (typed, code, minor) in
            [("5", "USD", 500), ("5.5", "usd", 550), ("5,50", "EUR", 550), ("500", "JPY", 500), ("1.234", "KWD", 1234)]
        {
            assert_eq!(money(typed, code).unwrap().minor, minor, "{typed} {code}");
        }
        for (typed, code) in [
            ("", "USD"),
            ("-5", "USD"),
            ("5.", "USD"),
            (".5", "USD"),
            ("1,000", "USD"),
            ("5.001", "USD"),
            ("5.5", "JPY"),
            ("1e3", "USD"),
            ("٥", "USD"),
            ("99999999999999", "USD"),
            ("5 5", "USD"),
            ("+5", "USD"),
            ("1.2.3", "USD"),
        ] {
            assert_eq!(money(typed, code), Err(MoneyError::Amount), "{typed}");
        }
    }

    #[test]
    fn it_is_shown_as_readers_write_it() {
        let usd = Currency::from_code("USD").unwrap();
        assert_eq!(Money::major(5, usd).display(Language::En), "$5");
        assert_eq!(Money::new(125_050, usd).display(Language::En), "$1,250.50");
        assert_eq!(Money::new(125_050, usd).display(Language::Ru), "1\u{a0}250,50\u{a0}$");
        assert_eq!(Money::new(-205, usd).display(Language::En), "−$2.05");
        assert_eq!(Money::new(205, usd).plain(), "2.05");
        assert_eq!(Money::new(-5, usd).plain(), "-0.05");
        assert_eq!(Money::new(500, Currency::from_code("JPY").unwrap()).plain(), "500");
        assert_eq!(Money::major(7, Currency::from_code("CHF").unwrap()).display(Language::En), "CHF\u{a0}7");
    }
}
