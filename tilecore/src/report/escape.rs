//! Text from anywhere as HTML text, and numbers as people read them.

use std::fmt::{Display, Formatter, Result, Write};

use crate::text::is_steering;

/// Longest text that is shown in full, characters.
const LONGEST: usize = 2000;

/// Text with everything escaped that HTML could take for its own, in element content and in quoted attributes alike.
///
/// Control characters and those that change the direction of writing are dropped, very long texts cut.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (n, letter) in self.0.chars().enumerate() {
            if n == LONGEST {
                return f.write_str(" [cut]");
            }
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' => f.write_char('\n')?,
                c if c.is_control() => f.write_char(' ')?,
                c if is_steering(c) => {}
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A part of a whole: `12.3 %`.
pub(super) fn percent(part: f64) -> String {
    if part.is_finite() { format!("{:.1} %", part * 100.0) } else { "unknown".into() }
}

/// A part of the frame: `89x216 at 10, 0`.
pub(super) fn place(rect: crate::geometry::Rect) -> String {
    format!("{}x{} at {}, {}", rect.width(), rect.height(), rect.x(), rect.y())
}

/// Seconds since 1970 as date and time of day, UTC.
pub(super) fn date(at: f64) -> String {
    if !at.is_finite() || !(0.0..253_402_300_800.0).contains(&at) {
        return "unknown".into();
    }
    let (days, second) = (at as i64 / 86_400, at as i64 % 86_400);
    // Years counted from March have their leap day at the end (H. Hinnant, chrono-Compatible Low-Level Date Algorithms).
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3600, second % 3600 / 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_text() {
        let nasty = "<script>alert('x')</script>&\"\u{1b}[31m\u{202e}\0";
        assert_eq!(
            Text(nasty).to_string(),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot; [31m "
        );
        assert!(Text(&"x".repeat(9000)).to_string().len() < 2100);
    }

    #[test]
    fn dates_are_right_on_leap_days_and_at_ends_of_years() {
        let said = [0.0, 951_782_399.0, 951_782_400.0, 1_709_164_800.0, 4_102_444_799.0].map(date);
        let meant = [
            "1970-01-01 00:00 UTC",
            "2000-02-28 23:59 UTC",
            "2000-02-29 00:00 UTC",
            "2024-02-29 00:00 UTC",
            "2099-12-31 23:59 UTC",
        ];
        assert_eq!(said, meant);
        assert_eq!(date(f64::INFINITY), "unknown");
    }
}
