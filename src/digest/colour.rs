//! The newsroom's accent, held to colours that can be read on white and on near-black.
//!
//! The pages do this in CSS with `oklch(from …)`. Mail programs know nothing of it, so here is the same arithmetic:
//! lightness at most 48 % on a light ground, at least 77 % (and little chroma) on a dark one.

/// The accent for a light ground and for a dark one, as `#rrggbb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accent {
    /// At least 4.5:1 on white, and white on it.
    pub light: String,
    /// At least 4.5:1 on `#151618`, and near-black on it.
    pub dark: String,
}

impl Accent {
    /// From `#rrggbb`; anything else gives the house blue.
    pub fn of(hex: &str) -> Accent {
        let (l, a, b) = oklab(parse(hex).unwrap_or([0x0b, 0x53, 0x94]));
        let chroma = a.hypot(b);
        let paled = if chroma > 0.1 { 0.1 / chroma } else { 1.0 };
        Accent { light: in_gamut(l.min(0.48), a, b), dark: in_gamut(l.max(0.77), a * paled, b * paled) }
    }
}

fn parse(hex: &str) -> Option<[u8; 3]> {
    let digits = hex.strip_prefix('#')?;
    if digits.len() != 6 || !digits.is_ascii() {
        return None;
    }
    let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    Some([part(0)?, part(2)?, part(4)?])
}

fn oklab(rgb: [u8; 3]) -> (f64, f64, f64) {
    let [r, g, b] = rgb.map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    let l = (0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b).cbrt();
    let m = (0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b).cbrt();
    let s = (0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b).cbrt();
    (
        0.210_454_255_3 * l + 0.793_617_785 * m - 0.004_072_046_8 * s,
        1.977_998_495_1 * l - 2.428_592_205 * m + 0.450_593_709_9 * s,
        0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766 * s,
    )
}

/// The nearest colour of that lightness and hue that a screen has: chroma is given up first.
fn in_gamut(l: f64, a: f64, b: f64) -> String {
    let mut keep = 1.0;
    loop {
        let rgb = linear(l, a * keep, b * keep);
        if keep <= 0.0 || rgb.iter().all(|c| (-0.001..=1.001).contains(c)) {
            let [r, g, b] = rgb.map(to_byte);
            return format!("#{r:02x}{g:02x}{b:02x}");
        }
        keep -= 0.02;
    }
}

fn linear(l: f64, a: f64, b: f64) -> [f64; 3] {
    let cube = |x: f64| x * x * x;
    let (l, m, s) = (
        cube(l + 0.396_337_777_4 * a + 0.215_803_757_3 * b),
        cube(l - 0.105_561_345_8 * a - 0.063_854_172_8 * b),
        cube(l - 0.089_484_177_5 * a - 1.291_485_548 * b),
    );
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701 * s,
    ]
}

fn to_byte(c: f64) -> u8 {
    let c = c.clamp(0.0, 1.0);
    let c = if c <= 0.003_130_8 { c * 12.92 } else { 1.055 * c.powf(1.0 / 2.4) - 0.055 };
    // OK because c is within 0 and 1.
    (c * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |hex: &str| {
            let [r, g, b] = parse(hex).unwrap().map(|c| {
                let c = f64::from(c) / 255.0;
                if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
            });
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (x, y) = (luminance(one), luminance(other));
        (x.max(y) + 0.05) / (x.min(y) + 0.05)
    }

    #[test]
    fn every_accent_can_be_read_on_light_and_on_dark() {
        for r in (0..=255).step_by(51) {
            for g in (0..=255).step_by(51) {
                for b in (0..=255).step_by(51) {
                    let accent = Accent::of(&format!("#{r:02x}{g:02x}{b:02x}"));
                    for (one, other) in [
                        (accent.light.as_str(), "#ffffff"),
                        (accent.light.as_str(), "#f5f4f1"),
                        (accent.dark.as_str(), "#151618"),
                        (accent.dark.as_str(), "#10151b"),
                    ] {
                        let ratio = contrast(one, other);
                        assert!(ratio >= 4.5, "{one} on {other} is {ratio:.2} for {r} {g} {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_good_accent_stays_as_it_is_and_a_bad_value_is_the_house_blue() {
        assert_eq!(Accent::of("#0b5394").light, "#0b5394");
        assert_eq!(Accent::of("blue"), Accent::of("#0b5394"));
        assert_eq!(Accent::of("#ééé"), Accent::of("#0b5394"));
    }
}
