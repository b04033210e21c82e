//! Accounts as text and as JSON.

use std::fmt::Write as _;

use super::exchange::Entry;

/// A table with a heading; columns as wide as their widest cell.
pub fn table(entries: &[Entry]) -> String {
    let rows: Vec<[String; 5]> = entries
        .iter()
        .map(|entry| {
            [
                entry.name.clone(),
                date(entry.created_ms),
                or_dash(&entry.flags.join(",")),
                or_dash(&entry.titles.join(", ")),
                entry.display.clone(),
            ]
        })
        .collect();
    let heading = ["NAME", "CREATED", "STATE", "TITLES", "DISPLAY NAME"].map(str::to_owned);
    let mut widths = [0; 5];
    for row in std::iter::once(&heading).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&heading).chain(&rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One account, a line a property.
pub fn lines(entry: &Entry) -> String {
    let rooms = entry.rooms.as_deref().unwrap_or_default().join(" ");
    format!(
        "Name:          {}\nDisplay name:  {}\nTitles:        {}\nState:         {}\nCreated:       {} UTC\nRooms:         {}\n",
        entry.name,
        or_dash(&entry.display),
        or_dash(&entry.titles.join(", ")),
        or_dash(&entry.flags.join(", ")),
        date(entry.created_ms),
        or_dash(&rooms),
    )
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

/// Date and minute of a Unix time in milliseconds, UTC. (Days to a civil date after Howard Hinnant's `civil_from_days`.)
fn date(unix_ms: u64) -> String {
    let minutes = unix_ms / 60_000;
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    let shifted = minutes / 1440 + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.into(),
            display: "安娜".into(),
            titles: vec!["moderator".into(), "night watch".into()],
            flags: vec!["owner".into()],
            created_ms: 1_700_000_000_000,
            rooms: None,
        }
    }

    #[test]
    fn dates() {
        for (ms, text) in [
            (0, "1970-01-01 00:00"),
            (951_782_400_000, "2000-02-29 00:00"),
            (1_700_000_000_000, "2023-11-14 22:13"),
            (1_735_689_599_999, "2024-12-31 23:59"),
        ] {
            assert_eq!(date(ms), text);
        }
        assert!(!date(u64::MAX).is_empty());
    }

    #[test]
    fn columns_line_up() {
        let text = table(&[entry("ann"), entry("somebody")]);
        let columns: Vec<_> = text
            .lines()
            .map(|line| line.find("2023").or(line.find("CREATED")))
            .collect();
        assert_eq!(columns, [Some(10); 3], "{text}");
    }

    #[test]
    fn json_has_rooms_only_where_asked() {
        let mut entry = entry("ann");
        assert!(!serde_json::to_string(&entry).unwrap().contains("rooms"));
        entry.rooms = Some(vec!["#a".into()]);
        assert!(
            serde_json::to_string(&entry)
                .unwrap()
                .contains("\"rooms\":[\"#a\"]")
        );
    }
}
