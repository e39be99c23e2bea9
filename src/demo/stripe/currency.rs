//! Currencies as Stripe sees them: how many decimals, and the least that can be charged.
//!
//! From Stripe's "Supported currencies" page: zero-decimal currencies, three-decimal ones, and minimum amounts where
//! the account settles in the same currency. It is a table of its own: a stand-in that shared Friday's could not catch
//! a mistake in it.

const KNOWN: &str = "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn \
    bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl \
    htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt \
    mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd \
    scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf \
    yer zar zmw";
const NO_DECIMALS: &str = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf";
const THREE_DECIMALS: &str = "bhd jod kwd omr tnd";
/// Charged in whole units, yet sent with two decimals.
const WHOLE_UNITS: &str = "isk ugx";

const MINIMUMS: &[(&str, i64)] = &[
    ("aed", 200),
    ("aud", 50),
    ("bgn", 100),
    ("brl", 50),
    ("cad", 50),
    ("chf", 50),
    ("czk", 1_500),
    ("dkk", 250),
    ("eur", 50),
    ("gbp", 30),
    ("hkd", 400),
    ("huf", 17_500),
    ("inr", 50),
    ("jpy", 50),
    ("mxn", 1_000),
    ("myr", 200),
    ("nok", 300),
    ("nzd", 50),
    ("pln", 200),
    ("ron", 200),
    ("sek", 300),
    ("sgd", 50),
    ("thb", 1_000),
    ("usd", 50),
];

fn holds(list: &str, code: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == code)
}

/// Whether this is a currency, in lower case.
pub fn is_known(code: &str) -> bool {
    holds(KNOWN, code)
}

/// How many decimals its amounts are sent with.
pub fn decimals(code: &str) -> u32 {
    if holds(NO_DECIMALS, code) {
        0
    } else if holds(THREE_DECIMALS, code) {
        3
    } else {
        2
    }
}

/// The least that can be charged; for a currency without a line in the table, one minor unit.
pub fn minimum(code: &str) -> i64 {
    MINIMUMS.iter().find(|(known, _)| *known == code).map_or(1, |(_, minimum)| *minimum)
}

/// Whether an amount can be charged at all: three-decimal amounts end in 0, some others are whole units.
pub fn can_be_charged(amount: i64, code: &str) -> bool {
    let step = if holds(THREE_DECIMALS, code) {
        10
    } else if holds(WHOLE_UNITS, code) {
        100
    } else {
        1
    };
    (0..=99_999_999).contains(&amount) && amount % step == 0
}

/// An amount as people write it: `12.50 USD`, `500 JPY`.
pub fn in_words(amount: i64, code: &str) -> String {
    let decimals = decimals(code);
    let unit = 10_i64.pow(decimals);
    let (whole, part) = (amount / unit, (amount % unit).abs());
    let code = code.to_ascii_uppercase();
    if decimals == 0 {
        format!("{whole} {code}")
    } else {
        format!("{whole}.{part:0width$} {code}", width = decimals as usize)
    }
}
