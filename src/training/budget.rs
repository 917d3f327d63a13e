//! Times as people write them on a command line.

use std::time::Duration;

use crate::{Error, Result};

/// A time such as `90s`, `30min`, `2h` or `1h30min`.
///
/// # Errors
/// [`Error::Config`] for another text, or less than a second.
pub fn parse_budget(text: &str) -> Result<Duration> {
    let wrong = || Error::config("budget", "a time such as 90s, 30min, 2h or 1h30min", format!("{text:?}"));
    let (mut rest, mut seconds) = (text.trim(), 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, behind) = rest.split_at(end);
        let units = [("min", 60.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
        let (unit, factor) = units.into_iter().find(|(unit, _)| behind.starts_with(unit)).ok_or_else(wrong)?;
        seconds += number.parse::<f64>().map_err(|_| wrong())? * factor;
        rest = &behind[unit.len()..];
    }
    match (1.0..=1e8).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_times() {
        for (text, seconds) in
            [("90s", 90), ("30min", 1800), ("2h", 7200), ("1h30min", 5400), ("0.5h", 1800), ("5m", 300)]
        {
            assert_eq!(parse_budget(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for wrong in ["", "30", "min", "-5s", "0s", "1.2.3s", "3 days"] {
            let error = parse_budget(wrong).unwrap_err().to_string();
            assert!(
                error.starts_with("parameter budget: expected a time such as 90s, 30min, 2h or 1h30min"),
                "{error}"
            );
        }
    }
}
