//! Numbers and words as people read them. Page, terminal, Markdown, figures and the command line all call these
//! functions, so a number has one spelling.

use maclip_language::first_of;

/// Shown where there is no number.
pub const NONE: &str = "–";

/// A share from 0 to 1 in percent with one decimal: `63.4`.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1}", positive_zero(share * 100.0, 0.05)) } else { NONE.into() }
}

/// A share and the half width of its interval, in percent: `63.4 ± 0.3`.
pub fn percent_interval(share: f64, half_width: f64) -> String {
    format!("{} ± {}", percent(share), percent(half_width))
}

/// A difference of shares in percentage points, always signed: `+4.2`, `−1.0`, `±0.0`.
pub fn points(difference: f64) -> String {
    if !difference.is_finite() {
        return NONE.into();
    }
    let sign = match positive_zero(difference * 100.0, 0.05) {
        value if value > 0.0 => "+",
        value if value < 0.0 => "−",
        _ => "±",
    };
    format!("{sign}{}", percent(difference.abs()))
}

/// A difference with its interval: `+4.2 ± 0.5`, `−1.0 ± 0.2`.
pub fn points_interval(difference: f64, half_width: f64) -> String {
    if !difference.is_finite() {
        return NONE.into();
    }
    format!("{} ± {}", points(difference), percent(half_width))
}

/// A number of parameters: `512`, `12.3 k`, `18.53 M`, `1.20 G`.
pub fn count(number: usize) -> String {
    // The limits are where rounding would reach the next unit.
    match number as f64 {
        value if value < 1e3 => number.to_string(),
        value if value < 999_950.0 => format!("{:.1} k", value / 1e3),
        value if value < 999_995_000.0 => format!("{:.2} M", value / 1e6),
        value => format!("{:.2} G", value / 1e9),
    }
}

/// A round number of parameters on an axis: `500`, `10 k`, `2 M`.
pub fn round_count(number: f64) -> String {
    let (number, unit) = match number {
        _ if number < 1e3 => (number, ""),
        _ if number < 1e6 => (number / 1e3, " k"),
        _ if number < 1e9 => (number / 1e6, " M"),
        _ => (number / 1e9, " G"),
    };
    format!("{}{unit}", (number * 10.0).round() / 10.0)
}

/// A name without the shots, ways or data of a test that it may end with: `otam` of `otam-5shot`, and of
/// `otam+test_on.variant=motion+shot=5`.
pub fn without_setting(name: &str, way: usize, shot: usize) -> &str {
    if let Some((rest, part)) = name.rsplit_once('+')
        && (part == format!("shot={shot}") || part == format!("way={way}") || part.starts_with("test_on."))
    {
        return without_setting(rest, way, shot);
    }
    let ends = [format!("{shot}shot"), format!("{way}way")];
    let rest = ends.iter().find_map(|end| name.strip_suffix(end.as_str()).filter(|rest| rest.ends_with(['-', '_'])));
    rest.map_or(name, |rest| without_setting(rest.trim_end_matches(['-', '_']), way, shot))
}

/// A p-value: three decimals, `< 0.001` below that.
pub fn p_value(p: f64) -> String {
    match p {
        _ if !p.is_finite() => NONE.into(),
        _ if p < 0.001 => "< 0.001".into(),
        _ => format!("{p:.3}"),
    }
}

/// Memory: `310 MB`, `11.90 GB`, in powers of ten.
pub fn bytes(number: u64) -> String {
    match number as f64 {
        value if value < 999.5e6 => format!("{:.0} MB", value / 1e6),
        value => format!("{:.2} GB", value / 1e9),
    }
}

/// A loss or a distance: three decimals.
pub fn loss(value: f64) -> String {
    signed(&format!("{:.3}", positive_zero(value, 5e-4)))
}

/// A number with a minus sign in the place of a hyphen before it.
pub fn signed(number: &str) -> String {
    number.strip_prefix('-').map_or_else(|| number.to_owned(), |digits| format!("−{digits}"))
}

/// The same for a program: with a hyphen in the place of a minus sign before a number.
pub fn with_hyphen(text: &str) -> String {
    let number = text.strip_prefix('−').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    number.map_or_else(|| text.to_owned(), |digits| format!("-{digits}"))
}

/// A mark of an axis, without the digits of binary fractions: `0.3`, `10,000`.
pub fn tick(value: f64) -> String {
    if value >= 1e3 && value.fract() == 0.0 {
        return whole(value as u64);
    }
    let text = format!("{value:.6}");
    signed(text.trim_end_matches('0').trim_end_matches('.'))
}

/// A whole number in groups of three digits: `10,000`.
pub fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The day of a moment, UTC, from its seconds since 1970: `2026-11-27`.
pub fn date(unix_seconds: u64) -> String {
    // Days since 1 March of the year 0, in eras of 400 years: the leap day is the last of its year.
    let days = unix_seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (of_month, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    format!("{:04}-{month:02}-{of_month:02}", era * 400 + year + u64::from(month <= 2))
}

/// A duration that was measured: `0.4 s`, `42 s`, `12 min 5 s`, `3 h 12 min`. See [`rough_duration`] for an estimate.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return NONE.into();
    }
    let rounded = seconds.round() as u64;
    match rounded {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{rounded} s"),
        60..3600 => format!("{} min {} s", rounded / 60, rounded % 60),
        _ => format!("{} h {} min", rounded / 3600, rounded % 3600 / 60),
    }
}

/// A duration that is estimated, in whole units: `60 s`, `2 min`, `2 h 05 min`. See [`duration`] for a measured one.
pub fn rough_duration(seconds: f64) -> String {
    match seconds.round() as u64 {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A round duration on an axis: `0.1 s`, `30 s`, `5 min`, `2 h`.
pub fn round_duration(seconds: f64) -> String {
    let (number, unit) = match seconds {
        _ if seconds < 60.0 => (seconds, "s"),
        _ if seconds < 3600.0 => (seconds / 60.0, "min"),
        _ => (seconds / 3600.0, "h"),
    };
    format!("{} {unit}", (number * 10.0).round() / 10.0)
}

/// The first eight characters of a hash, enough to tell two apart.
pub fn short_hash(hash: &str) -> String {
    hash.chars().take(8).collect()
}

/// `few_shot` as `few shot`, `recall_at_1` as `recall at 1`.
pub fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A task, as the subject of a sentence: `few-shot recognition`.
pub fn task(name: &str) -> String {
    match name {
        "few_shot" => "few-shot recognition".to_owned(),
        other => words(other),
    }
}

/// `text` with its first letter in upper case: `Accuracy`.
pub fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A word for a shell: as it is where that is safe, else in single quotes.
pub fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// `once`, `12 times`.
pub fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{} times", whole(number)) }
}

/// The first values of a list, and how many more there are: `1, 2, 3, 4, and 9 more`.
pub fn listed(values: &[String]) -> String {
    first_of(values.iter(), 4, ", ")
}

/// `n` things: `1 seed`, `3 seeds`.
pub fn plural(number: usize, thing: &str) -> String {
    format!("{} {thing}{}", whole(number as u64), if number == 1 { "" } else { "s" })
}

/// Removes the sign of what rounds to zero.
fn positive_zero(value: f64, below: f64) -> f64 {
    if value.abs() < below { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_one_decimal() {
        assert_eq!(percent_interval(0.63449, 0.0031), "63.4 ± 0.3");
        assert_eq!(percent(-0.0001), "0.0");
        assert_eq!(percent(f64::NAN), "–");
    }

    #[test]
    fn people_read_a_minus_sign_and_programs_a_hyphen() {
        assert_eq!(
            (loss(-0.2921), loss(0.5), loss(-0.0001), tick(-2.5)),
            ("−0.292".into(), "0.500".into(), "0.000".into(), "−2.5".into())
        );
        assert_eq!(["−0.292", "−1.0 ± 0.2", "–", "a−b"].map(with_hyphen), ["-0.292", "-1.0 ± 0.2", "–", "a−b"]);
    }

    #[test]
    fn differences_are_signed() {
        assert_eq!(points_interval(0.0421, 0.005), "+4.2 ± 0.5");
        assert_eq!(points_interval(-0.01, 0.002), "−1.0 ± 0.2");
        assert_eq!(points_interval(0.0002, 0.002), "±0.0 ± 0.2");
    }

    #[test]
    fn counts_change_unit_where_rounding_does() {
        let cases = [(0, "0"), (999, "999"), (12_345, "12.3 k"), (999_949, "999.9 k"), (999_950, "1.00 M")];
        for (number, text) in cases.into_iter().chain([(18_530_000, "18.53 M"), (1_200_000_000, "1.20 G")]) {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn durations_and_whole_numbers() {
        assert_eq!(duration(0.42), "0.4 s");
        assert_eq!(duration(59.4), "59 s");
        assert_eq!(duration(725.0), "12 min 5 s");
        assert_eq!(duration(11_520.0), "3 h 12 min");
        assert_eq!([59.6, 130.0, 7500.0].map(rough_duration), ["60 s", "2 min", "2 h 05 min"]);
        let days = [0, 951_782_400, 951_868_800, 1_798_761_599, 1_798_761_600].map(date);
        assert_eq!(days, ["1970-01-01", "2000-02-29", "2000-03-01", "2026-12-31", "2027-01-01"]);
        assert_eq!(whole(10_000), "10,000");
        assert_eq!([0, 12, 999, 1000, 18_529_536].map(whole), ["0", "12", "999", "1,000", "18,529,536"]);
        assert_eq!(plural(1, "seed"), "1 seed");
    }

    #[test]
    fn a_name_loses_the_setting_of_its_test() {
        assert_eq!(without_setting("otam-5shot", 5, 5), "otam");
        assert_eq!(without_setting("otam-5way-1shot", 5, 1), "otam");
        assert_eq!(without_setting("otam-5shot", 5, 1), "otam-5shot");
        assert_eq!(without_setting("oneshot", 5, 1), "oneshot");
        assert_eq!(without_setting("otam+dataset.seed=1+test_on.variant=motion+shot=5", 5, 5), "otam+dataset.seed=1");
        assert_eq!(without_setting("otam+shot=1", 5, 5), "otam+shot=1");
    }

    #[test]
    fn p_values_and_memory_are_short() {
        assert_eq!(
            [p_value(0.0123), p_value(1.0), p_value(1e-9), p_value(f64::NAN)],
            ["0.012", "1.000", "< 0.001", "–"]
        );
        assert_eq!([bytes(330_428_416), bytes(11_900_000_000)], ["330 MB", "11.90 GB"]);
    }

    #[test]
    fn marks_of_axes_are_short() {
        assert_eq!([tick(0.1 + 0.2), tick(10_000.0), tick(-0.5)], ["0.3", "10,000", "−0.5"]);
        assert_eq!([0.1, 30.0, 300.0, 7200.0].map(round_duration), ["0.1 s", "30 s", "5 min", "2 h"]);
        assert_eq!([round_count(2e6), round_count(500.0), round_count(1e4)], ["2 M", "500", "10 k"]);
    }

    #[test]
    fn texts_begin_with_a_capital() {
        assert_eq!(["épée", "", "two words"].map(capitalized), ["Épée", "", "Two words"]);
    }

    #[test]
    fn shell_words_are_quoted_when_needed() {
        assert_eq!(shell("runs/a-1"), "runs/a-1");
        assert_eq!(shell("my runs"), "'my runs'");
        assert_eq!(shell("it's"), "'it'\\''s'");
    }
}
