//! What several rounds gave: median, spread, and the ratio of two sides that took turns.

use std::fmt;

/// One number for each round, in the order of the rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    /// This side by the other, round by round: what slows the machine down for a while slows both.
    pub(crate) fn by(&self, other: &Self) -> Self {
        Self(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(one, other)| one / other)
                .collect(),
        )
    }

    fn bounds(&self) -> (f64, f64) {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (least, greatest)
    }
}

impl FromIterator<f64> for Rounds {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// The median, and in brackets the least and the greatest; with as many digits as mean something.
impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, greatest) = self.bounds();
        let median = self.median();
        let digits = match median.abs() {
            100.0.. => 0,
            10.0.. => 1,
            _ => 2,
        };
        write!(f, "{median:.digits$} ({least:.digits$} to {greatest:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_rounds_lies_between_the_two_in_the_middle() {
        let rounds: Rounds = [4.0, 1.0, 3.0, 2.0].into_iter().collect();
        assert_eq!(rounds.to_string(), "2.50 (1.00 to 4.00)");
    }

    #[test]
    fn sides_are_compared_round_by_round() {
        let ours: Rounds = [100.0, 50.0].into_iter().collect();
        let floor: Rounds = [200.0, 100.0].into_iter().collect();
        assert_eq!(ours.by(&floor).to_string(), "0.50 (0.50 to 0.50)");
    }
}
