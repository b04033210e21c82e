//! Time stamps of IRCv3 (server-time, chathistory, read-marker): `YYYY-MM-DDThh:mm:ss.sssZ`, always UTC, from and to Unix
//! milliseconds. Written for every message delivered, hence without `core::fmt`.

/// Length of a time stamp, bytes.
pub const LEN: usize = 24;
/// The latest moment it can show, 9999-12-31T23:59:59.999Z, as Unix milliseconds.
pub const MAX: u64 = 253_402_300_799_999;

const DAY_MS: u64 = 86_400_000;
/// Days from 0000-03-01, where the arithmetic starts, to 1970-01-01.
const EPOCH_DAYS: u32 = 719_468;
/// Days of 400 and of 100 years.
const ERA: u32 = 146_097;
const CENTURY: u32 = 36_524;

/// The time stamp of Unix milliseconds; those past [`MAX`] show as `MAX`.
pub fn format(unix_ms: u64) -> [u8; LEN] {
    let unix_ms = unix_ms.min(MAX);
    let (days, ms) = ((unix_ms / DAY_MS) as u32, (unix_ms % DAY_MS) as u32);
    let (year, month, day) = civil(days);
    let mut out = *b"0000-00-00T00:00:00.000Z";
    let [
        y0,
        y1,
        y2,
        y3,
        _,
        mo0,
        mo1,
        _,
        d0,
        d1,
        _,
        h0,
        h1,
        _,
        mi0,
        mi1,
        _,
        s0,
        s1,
        _,
        f0,
        f1,
        f2,
        _,
    ] = &mut out;
    digits([y0, y1, y2, y3], year);
    digits([mo0, mo1], month);
    digits([d0, d1], day);
    digits([h0, h1], ms / 3_600_000);
    digits([mi0, mi1], ms / 60_000 % 60);
    digits([s0, s1], ms / 1000 % 60);
    digits([f0, f1, f2], ms % 1000);
    out
}

fn digits<const N: usize>(places: [&mut u8; N], mut value: u32) {
    for place in places.into_iter().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar. Years are counted from March, so that
/// the leap day is the last of its year.
fn civil(days: u32) -> (u32, u32, u32) {
    let days = days + EPOCH_DAYS;
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / CENTURY - day_of_era / (ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, months have 153 days in every five.
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u32::from(month <= 2);
    (year, month, day)
}

/// Days since 0000-03-01 of a date from 0000-03-01 on.
fn days_from_civil(year: u32, month: u32, day: u32) -> u32 {
    let year = if month <= 2 {
        year.saturating_sub(1)
    } else {
        year
    };
    let from_march = (month + 9) % 12;
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5 + day - 1
}

/// Unix milliseconds of a time stamp; its milliseconds may be missing. A leap second counts as the one after it, a time before
/// 1970 as 1970: clients ask with such for everything there is.
pub fn parse(text: &str) -> Option<u64> {
    let (seconds, ms) = match text.strip_suffix('Z')?.split_once('.') {
        Some((seconds, ms)) if ms.len() == 3 => (seconds, number(ms)?),
        Some(_) => return None,
        None => (text.strip_suffix('Z')?, 0),
    };
    let (date, time) = seconds.split_once('T')?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    if !(1..=12).contains(&month)
        || day == 0
        || day > month_days(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let Some(days) = days_from_civil(year, month, day).checked_sub(EPOCH_DAYS) else {
        return Some(0);
    };
    let seconds = u64::from(hour * 3600 + minute * 60 + second);
    Some((u64::from(days) * DAY_MS + seconds * 1000 + u64::from(ms)).min(MAX))
}

fn month_days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Exactly three numbers of exactly these lengths.
fn fields(text: &str, separator: char, lengths: [usize; 3]) -> Option<[u32; 3]> {
    let mut parts = text.split(separator);
    let mut values = [0; 3];
    for (value, length) in values.iter_mut().zip(lengths) {
        let part = parts.next().filter(|part| part.len() == length)?;
        *value = number(part)?;
    }
    parts.next().is_none().then_some(values)
}

/// Digits only: `str::parse` would take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unix_ms: u64) -> String {
        String::from_utf8(format(unix_ms).to_vec()).unwrap()
    }

    #[test]
    fn known_moments() {
        for (ms, stamp) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_318_674_630_001, "2011-10-15T10:30:30.001Z"),
            (1_000_000_000_000, "2001-09-09T01:46:40.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text(ms), stamp);
            assert_eq!(parse(stamp), Some(ms));
        }
        assert_eq!(text(u64::MAX), text(MAX));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut y, mut m, mut d) = (1970, 1, 1);
        for day in 0..=(MAX / DAY_MS) as u32 {
            assert_eq!(civil(day), (y, m, d));
            d += 1;
            if d > month_days(y, m) {
                (m, d) = (m + 1, 1);
            }
            if m > 12 {
                (y, m) = (y + 1, 1);
            }
        }
        assert_eq!((y, m, d), (10_000, 1, 1));
    }

    #[test]
    fn lenient_where_clients_are() {
        assert_eq!(parse("2011-10-15T10:30:30Z"), Some(1_318_674_630_000));
        assert_eq!(
            parse("2012-06-30T23:59:60.419Z"),
            parse("2012-07-01T00:00:00.419Z")
        );
        assert_eq!(parse("0001-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(parse("0000-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(parse("9999-12-31T23:59:60.999Z"), Some(MAX));
    }

    #[test]
    fn strict_otherwise() {
        for stamp in [
            "",
            "Z",
            "*",
            "2011-10-15",
            "2011-10-15T10:30:30",
            "2011-10-15T10:30:30.Z",
            "2011-10-15T10:30:30.1Z",
            "2011-10-15T10:30:30.0000Z",
            "2011-10-15 10:30:30.000Z",
            "2011-10-15t10:30:30.000z",
            "2011-13-15T10:30:30.000Z",
            "2011-00-15T10:30:30.000Z",
            "2011-02-29T10:30:30.000Z",
            "1900-02-29T00:00:00.000Z",
            "2011-10-00T10:30:30.000Z",
            "2011-10-15T24:30:30.000Z",
            "2011-10-15T10:60:30.000Z",
            "2011-10-15T10:30:61.000Z",
            "2011-10-15T10:30.000Z",
            "+011-10-15T10:30:30.000Z",
            "2011-10-15T10:30:30.+00Z",
            "2011-10-15T10:30:30.000ZZ",
            "2011-10-15T10:30:30:00.000Z",
        ] {
            assert_eq!(parse(stamp), None, "{stamp}");
        }
    }

    proptest::proptest! {
        #[test]
        fn round_trips(ms in 0..=MAX) {
            proptest::prop_assert_eq!(parse(&text(ms)), Some(ms));
        }

        #[test]
        fn sorts_as_the_times_do(a in 0..=MAX, b in 0..=MAX) {
            proptest::prop_assert_eq!(format(a).cmp(&format(b)), a.cmp(&b));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:.中-]{0,26}|\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_date_like_text_panics(stamp in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z") {
            if let Some(ms) = parse(&stamp) {
                proptest::prop_assert!(ms <= MAX);
            }
        }
    }
}
