//! The rules on times and periods.

use jiff::Timestamp;

use super::rule::Rule;
use super::{At, Problem, to_half_width};
use crate::wechatpay::stock::{CouponAvailablePeriod, Stock, limits};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// A moment as RFC 3339 writes it: date, `T`, time with seconds, offset. Stricter than the parser
/// behind it, which takes more forms than the API does.
#[must_use]
pub fn moment(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let form = b"0000-00-00T00:00:00";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        sign => byte == sign,
    };
    if bytes.len() <= form.len() || !bytes.iter().zip(form).all(fits) {
        return None;
    }
    let rest = &text[form.len()..];
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if offset.len() == fraction.len() {
                return None;
            }
            offset
        }
        None => rest,
    };
    let numeric = b"+00:00";
    let signed = offset.starts_with(['+', '-'])
        && offset.len() == numeric.len()
        && offset.as_bytes()[1..].iter().zip(&numeric[1..]).all(fits);
    (offset == "Z" || signed).then(|| text.parse().ok()).flatten()
}

/// What somebody who wrote a time in another form most likely means.
fn near_moment(text: &str) -> Option<String> {
    let text = to_half_width(text.trim()).replace('/', "-");
    let text = match text.split_once([' ', 'T', 't']) {
        Some((date, time)) => format!("{date}T{}", time.replace(' ', "").to_uppercase()),
        None => text,
    };
    let with_time = if text.contains('T') { text } else { format!("{text}T00:00:00") };
    let (head, offset) = match with_time
        .find(['+', 'Z'])
        .or_else(|| with_time.rfind('-').filter(|at| with_time.find('T').is_some_and(|t| *at > t)))
    {
        Some(at) => with_time.split_at(at),
        None => (with_time.as_str(), "+08:00"),
    };
    let seconds = if head.matches(':').count() == 1 { ":00" } else { "" };
    let offset = match offset.len() {
        _ if !offset.is_ascii() => return None,
        3 => format!("{offset}:00"),
        5 if !offset.contains(':') => format!("{}:{}", &offset[..3], &offset[3..]),
        _ => offset.to_owned(),
    };
    let near = format!("{head}{seconds}{offset}");
    moment(&near).map(|_| near)
}

/// Parses a moment, or reports it.
fn read(text: &str, path: &At<'_>, found: &mut Vec<Problem>) -> Option<Timestamp> {
    let parsed = moment(text);
    if parsed.is_none() {
        let problem = Problem::new(
            Rule::TimeInvalid,
            *path,
            "a time is written with seconds and an offset, as RFC 3339 says",
        );
        found.push(match near_moment(text) {
            Some(near) => problem.help(format!("write \"{near}\"")),
            None => problem.help("write it like \"2026-12-01T00:00:00+08:00\""),
        });
    }
    parsed
}

/// The moment from which nobody can use a coupon of a stock any more.
#[must_use]
pub fn end(stock: &Stock) -> Option<Timestamp> {
    moment(&stock.period()?.available_end_time)
}

/// Whether nobody can use a coupon of a stock any more.
#[must_use]
pub fn is_over(stock: &Stock, now: Timestamp) -> bool {
    end(stock).is_some_and(|end| end <= now)
}

/// Which usage rule a period belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `single_usage_rule`.
    Single,
    /// `sequential_usage_rule`.
    Sequential,
}

/// Holds a period against every rule on periods.
pub fn check(
    period: &CouponAvailablePeriod,
    kind: Kind,
    at: &At<'_>,
    now: Timestamp,
    found: &mut Vec<Problem>,
) {
    span(period, at, now, found);
    days(period, kind, at, found);
    if let Some(weekly) = &period.weekly_available_period {
        week(weekly, &at.key("weekly_available_period"), found);
    }
    let list = at.key("irregular_available_period_list");
    for (index, span) in period.irregular_available_period_list.iter().flatten().enumerate() {
        let at = list.index(index);
        let (begin_at, end_at) = (at.key("begin_time"), at.key("end_time"));
        let begin = read(&span.begin_time, &begin_at, found);
        let end = read(&span.end_time, &end_at, found);
        if let (Some(begin), Some(end)) = (begin, end)
            && begin >= end
        {
            let message = "the span ends before it begins, or at the same moment";
            found.push(
                Problem::new(Rule::IrregularPeriodReversed, end_at, message)
                    .and(begin_at, "it begins here"),
            );
        }
    }
}

fn span(period: &CouponAvailablePeriod, at: &At<'_>, now: Timestamp, found: &mut Vec<Problem>) {
    let (begin_at, end_at) = (at.key("available_begin_time"), at.key("available_end_time"));
    let begin = read(&period.available_begin_time, &begin_at, found);
    let end = read(&period.available_end_time, &end_at, found);
    let (Some(begin), Some(end)) = (begin, end) else { return };
    let whole_days = |span: i128| span / (i128::from(DAY) * 1_000_000_000);
    let length = end.as_nanosecond() - begin.as_nanosecond();
    let day = i128::from(DAY) * 1_000_000_000;
    if begin >= end {
        let message = "the period ends before it begins, or at the same moment";
        found.push(
            Problem::new(Rule::PeriodReversed, end_at, message).and(begin_at, "it begins here"),
        );
        return;
    }
    if length > i128::from(limits::PERIOD_DAYS) * day {
        let message = format!(
            "the period has more than {} days ({} and a part)",
            limits::PERIOD_DAYS,
            whole_days(length)
        );
        found.push(
            Problem::new(Rule::PeriodTooLong, end_at, message)
                .and(begin_at, "it begins here")
                .help(format!("end it by {}", latest_end(&period.available_begin_time, begin))),
        );
    } else if length < i128::from(limits::PERIOD_DAYS_ADVISED) * day {
        let message = format!(
            "the period has less than {} days: no delivery plan can use it",
            limits::PERIOD_DAYS_ADVISED
        );
        found
            .push(Problem::new(Rule::PeriodShort, end_at, message).and(begin_at, "it begins here"));
    }
    if end <= now {
        let message = "the period is over: nobody could use a coupon of this stock";
        found.push(Problem::new(Rule::PeriodOver, end_at, message));
    }
}

/// The last moment that a period may end at, in the offset that its begin is written in.
fn latest_end(text: &str, begin: Timestamp) -> String {
    let end = begin.as_second().saturating_add(limits::PERIOD_DAYS * DAY);
    let offset = text.get(text.len().saturating_sub(6)..).unwrap_or_default();
    let minutes = |text: &str| text.parse::<i64>().unwrap_or(0);
    let seconds = match offset.as_bytes().first() {
        Some(sign @ (b'+' | b'-')) => {
            let size = minutes(&offset[1..3]) * 3600 + minutes(&offset[4..6]) * 60;
            if *sign == b'-' { -size } else { size }
        }
        _ => return Timestamp::from_second(end).map_or_else(|_| String::new(), |t| t.to_string()),
    };
    Timestamp::from_second(end.saturating_add(seconds))
        .map(|local| format!("{}{offset}", local.strftime("%Y-%m-%dT%H:%M:%S")))
        .unwrap_or_default()
}

fn days(period: &CouponAvailablePeriod, kind: Kind, at: &At<'_>, found: &mut Vec<Problem>) {
    let (days_at, wait_at) = (at.key("available_days"), at.key("wait_days_after_receive"));
    if let Some(days) = period.available_days {
        if kind == Kind::Sequential {
            let message = "a sequential rule has no `available_days`";
            found.push(
                Problem::new(Rule::AvailableDaysSequential, days_at, message)
                    .help("remove the line"),
            );
        } else if !(1..=limits::AVAILABLE_DAYS).contains(&days) {
            let message = format!("available_days is 1 to {}, not {days}", limits::AVAILABLE_DAYS);
            found.push(Problem::new(Rule::AvailableDaysOutOfRange, days_at, message));
        }
        if period.irregular_available_period_list.is_some() {
            let message =
                "available_days and irregular_available_period_list contradict each other";
            found.push(
                Problem::new(Rule::AvailableDaysIrregular, days_at, message)
                    .and(at.key("irregular_available_period_list"), "the other one")
                    .help("keep one of them"),
            );
        }
    }
    if let Some(wait) = period.wait_days_after_receive {
        if !(0..=limits::WAIT_DAYS).contains(&wait) {
            let message =
                format!("wait_days_after_receive is 0 to {}, not {wait}", limits::WAIT_DAYS);
            found.push(Problem::new(Rule::WaitDaysOutOfRange, wait_at, message));
        }
        if kind == Kind::Single && period.available_days.is_none() {
            let message = "wait_days_after_receive is only for use with available_days";
            found.push(
                Problem::new(Rule::WaitDaysAlone, wait_at, message)
                    .help("add `available_days: 10`, or remove the line"),
            );
        }
    }
}

fn week(
    weekly: &crate::wechatpay::stock::WeeklyAvailablePeriod,
    at: &At<'_>,
    found: &mut Vec<Problem>,
) {
    let list = at.key("day_list");
    let days = weekly.day_list.as_deref().unwrap_or_default();
    super::stock::repeats(days, &list, Rule::DayRepeated, "this day stands there twice", found);
    let list = at.key("day_period_list");
    let mut spans = Vec::new();
    for (index, span) in weekly.day_period_list.iter().flatten().enumerate() {
        let at = list.index(index);
        let (begin_at, end_at) = (at.key("begin_time"), at.key("end_time"));
        let mut in_day = true;
        for (second, at) in [(span.begin_time, &begin_at), (span.end_time, &end_at)] {
            if !(0..=limits::LAST_SECOND_OF_DAY).contains(&second) {
                in_day = false;
                let message = format!(
                    "a time of day is 0 to {} seconds, not {second}",
                    limits::LAST_SECOND_OF_DAY
                );
                let problem = Problem::new(Rule::DaySecondOutOfRange, at, message);
                found.push(if second == DAY {
                    problem.help("write 86399 for the end of the day")
                } else {
                    problem.help("count seconds since midnight: 10:00 is 36000")
                });
            }
        }
        if in_day && span.begin_time >= span.end_time {
            let message = "the span ends before it begins, or at the same second";
            found.push(
                Problem::new(Rule::DayPeriodReversed, end_at, message)
                    .and(begin_at, "it begins here")
                    .help("write a span over midnight as two: one up to 86399, one from 0"),
            );
        } else if in_day {
            spans.push((span.begin_time, span.end_time, index));
        }
    }
    spans.sort_unstable();
    for pair in spans.windows(2) {
        let ((_, end, first), (begin, _, second)) = (pair[0], pair[1]);
        if begin < end {
            found.push(
                Problem::new(
                    Rule::DayPeriodsOverlap,
                    list.index(second).key("begin_time"),
                    "this span begins before another one ends",
                )
                .and(list.index(first).key("end_time"), "the other one ends here"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rfc_3339_with_seconds_and_offset_is_a_moment() {
        for good in
            ["2026-12-01T00:00:00+08:00", "2026-12-01T00:00:00Z", "2026-12-01T00:00:00.5-11:30"]
        {
            assert!(moment(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "2026-12-01",
            "2026-12-01 00:00:00+08:00",
            "2026-12-01T00:00+08:00",
            "2026-12-01T00:00:00",
            "2026-12-01T00:00:00+0800",
            "2026-12-01T00:00:00+08",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-12-01T00:00:00+08:00[Asia/Shanghai]",
            "2026-12-01t00:00:00z",
            "2026-12-01T25:00:00Z",
            "2026-12-01T00:00:00.Z",
            "２026-12-01T00:00:00Z",
            "2026-12-01T00:00:00+99:00",
        ] {
            assert!(moment(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_near_miss_is_told_as_it_should_be_written() {
        for (text, near) in [
            ("2026-12-01", "2026-12-01T00:00:00+08:00"),
            ("2026-12-01 10:30", "2026-12-01T10:30:00+08:00"),
            ("2026-12-01T10:30:00", "2026-12-01T10:30:00+08:00"),
            ("2026/12/01 10:30:00", "2026-12-01T10:30:00+08:00"),
            ("2026-12-01T10:30:00+0800", "2026-12-01T10:30:00+08:00"),
            ("2026-12-01T10:30:00 +08:00", "2026-12-01T10:30:00+08:00"),
            ("2026-12-01T10：30：00+08：00", "2026-12-01T10:30:00+08:00"),
        ] {
            assert_eq!(near_moment(text).as_deref(), Some(near), "{text}");
        }
        for nothing in ["tomorrow", "2027-01-01T00:00:00+长0", "", "T", "+", "长"] {
            assert_eq!(near_moment(nothing), None, "{nothing}");
        }
    }
}
