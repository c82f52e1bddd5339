//! Hours of the week in the site's time zone.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Stretches of the week, such as `mon-fri 22:00-06:00`. Empty: no stretch at all; its owner says what that means.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Schedule {
    texts: Vec<String>,
    spans: Vec<Span>,
}

/// From a minute of some days to another; when that is not later, to the one of the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    /// Monday first: the days on which it begins.
    days: [bool; 7],
    from_min: u16,
    to_min: u16,
}

/// Why a text is no stretch of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSchedule(String);

impl fmt::Display for NoSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no stretch of the week; write `22:00-06:00`, `mon-fri 08:00-18:00` or `sat,sun`",
            self.0
        )
    }
}

impl Schedule {
    /// # Errors
    /// The first text that is no stretch of the week.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, NoSchedule> {
        let spans = texts.iter().map(|t| t.as_ref().parse()).collect::<Result<_, _>>()?;
        let texts = texts.iter().map(|t| t.as_ref().to_owned()).collect();
        Ok(Self { texts, spans })
    }

    /// As it was written.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether the clock on the wall stands within it. An hour that a change of the clocks leaves out is never
    /// reached, and one that comes twice counts twice.
    pub fn covers(&self, utc_ns: i64, zone: &TimeZone) -> bool {
        if self.is_empty() {
            return false;
        }
        let Ok(stamp) = Timestamp::from_nanosecond(i128::from(utc_ns)) else {
            return false;
        };
        let wall = zone.to_datetime(stamp);
        let today = wall.weekday().to_monday_zero_offset() as usize;
        let minute = wall.hour() as u16 * 60 + wall.minute() as u16;
        self.spans.iter().any(|s| s.holds(today, minute))
    }
}

impl Span {
    fn holds(&self, today: usize, minute: u16) -> bool {
        let yesterday = (today + 6) % 7;
        if self.from_min < self.to_min {
            self.days[today] && (self.from_min..self.to_min).contains(&minute)
        } else {
            (self.days[today] && minute >= self.from_min) || (self.days[yesterday] && minute < self.to_min)
        }
    }
}

impl FromStr for Span {
    type Err = NoSchedule;

    fn from_str(text: &str) -> Result<Self, NoSchedule> {
        let wrong = || NoSchedule(text.to_owned());
        let mut words = text.split_whitespace();
        let first = words.next().ok_or_else(wrong)?;
        let (days, hours) = if first.contains(':') {
            ([true; 7], Some(first))
        } else {
            (days(first).ok_or_else(wrong)?, words.next())
        };
        if words.next().is_some() {
            return Err(wrong());
        }
        let (from_min, to_min) = match hours {
            None => (0, 24 * 60),
            Some(hours) => {
                let (from, to) = hours.split_once('-').ok_or_else(wrong)?;
                (minute(from).ok_or_else(wrong)?, minute(to).ok_or_else(wrong)?)
            }
        };
        if from_min == to_min || from_min == 24 * 60 {
            return Err(wrong());
        }
        Ok(Self { days, from_min, to_min })
    }
}

/// `mon-fri`, `sat,sun`, `mon,wed-fri`; a range may run over Sunday.
fn days(text: &str) -> Option<[bool; 7]> {
    let day = |word: &str| DAYS.iter().position(|d| *d == word);
    let mut out = [false; 7];
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (day(from)?, day(to)?);
        for i in 0..=(to + 7 - from) % 7 {
            out[(from + i) % 7] = true;
        }
    }
    Some(out)
}

/// `HH:MM`, up to 24:00.
fn minute(text: &str) -> Option<u16> {
    let (h, m) = text.split_once(':')?;
    let (h, m): (u16, u16) = (h.parse().ok()?, m.parse().ok()?);
    (h <= 24 && m < 60 && h * 60 + m <= 24 * 60).then(|| h * 60 + m)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(texts: &[&str], zone: &str, utc: &str) -> bool {
        let stamp: Timestamp = utc.parse().unwrap();
        let zone = TimeZone::get(zone).unwrap();
        Schedule::parse(texts)
            .unwrap()
            .covers(stamp.as_nanosecond() as i64, &zone)
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = ["fri 22:00-06:00"];
        // 2026-11-27 is a Friday.
        assert!(!covers(&night, "UTC", "2026-11-27T05:00:00Z"));
        assert!(covers(&night, "UTC", "2026-11-27T22:00:00Z"));
        assert!(covers(&night, "UTC", "2026-11-28T05:59:00Z"));
        assert!(!covers(&night, "UTC", "2026-11-28T06:00:00Z"));
        // That before a Monday is Sunday's.
        assert!(covers(&["sun 22:00-06:00"], "UTC", "2026-11-30T05:00:00Z"));
        assert!(!covers(&["mon 22:00-06:00"], "UTC", "2026-11-30T05:00:00Z"));
    }

    #[test]
    fn days_run_over_sunday_and_a_day_without_hours_is_whole() {
        assert!(covers(&["sat-mon"], "UTC", "2026-11-30T23:59:00Z"));
        assert!(!covers(&["sat-mon"], "UTC", "2026-12-01T00:00:00Z"));
        assert!(covers(&["mon,wed 08:00-24:00"], "UTC", "2026-12-02T23:59:59Z"));
        assert!(!covers(&[], "UTC", "2026-12-02T23:59:59Z"));
    }

    #[test]
    fn in_spring_the_hour_that_is_left_out_is_never_reached() {
        // Europe/Berlin, 29 March 2026: 01:59:59 CET is followed by 03:00:00 CEST, at 01:00 UTC.
        let hour = ["02:00-03:00"];
        for utc in ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"] {
            assert!(!covers(&hour, "Europe/Berlin", utc), "{utc}");
        }
        // A night over the change ends at six on the wall, seven hours after 22:00.
        let night = ["22:00-06:00"];
        assert!(covers(&night, "Europe/Berlin", "2026-03-28T21:00:00Z"));
        assert!(covers(&night, "Europe/Berlin", "2026-03-29T03:59:59Z"));
        assert!(!covers(&night, "Europe/Berlin", "2026-03-29T04:00:00Z"));
    }

    #[test]
    fn in_autumn_the_hour_that_comes_twice_counts_twice() {
        // Europe/Berlin, 25 October 2026: 02:59:59 CEST is followed by 02:00:00 CET, at 01:00 UTC.
        let hour = ["02:00-03:00"];
        assert!(!covers(&hour, "Europe/Berlin", "2026-10-24T23:59:59Z"));
        for utc in [
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:59:59Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:59:59Z",
        ] {
            assert!(covers(&hour, "Europe/Berlin", utc), "{utc}");
        }
        assert!(!covers(&hour, "Europe/Berlin", "2026-10-25T02:00:00Z"));
        // A night over the change lasts nine hours.
        let night = ["22:00-06:00"];
        assert!(covers(&night, "Europe/Berlin", "2026-10-24T20:00:00Z"));
        assert!(covers(&night, "Europe/Berlin", "2026-10-25T04:59:59Z"));
        assert!(!covers(&night, "Europe/Berlin", "2026-10-25T05:00:00Z"));
    }

    #[test]
    fn what_is_no_stretch_of_the_week_is_refused_with_an_example() {
        for text in [
            "",
            "22:00",
            "22-06",
            "25:00-26:00",
            "1093:00-06:00",
            "mo 22:00-06:00",
            "mon 1:00-2:00 x",
            "08:00-08:00",
            "24:00-01:00",
        ] {
            let error = Schedule::parse(&[text]).unwrap_err().to_string();
            assert!(error.contains("mon-fri 08:00-18:00"), "{text}: {error}");
        }
    }
}
