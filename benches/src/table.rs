//! Formats rows for the terminal and as JSON.

use serde::Serialize;

/// The target of a row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// Printed without a target.
    Told,
}

impl Target {
    /// Returns how many times worse than the target a figure is: up to 1 is good.
    fn excess(self, figure: f64) -> f64 {
        match self {
            Self::AtMost(most) => figure / most,
            Self::AtLeast(least) => least / figure,
            Self::Told => 0.0,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::Told => f.write_str("-"),
        }
    }
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// The measured value, with its unit.
    pub(crate) measured: String,
    /// The value that it is compared with.
    pub(crate) beside: String,
    /// The figure that is compared with the target.
    pub(crate) figure: f64,
    pub(crate) target: Target,
    pub(crate) met: bool,
}

/// All rows, printed as they are added.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn new() -> Self {
        println!(
            "{:<34} {:>18}  {:<44} {:>9}  {:<9}",
            "row", "measured", "beside", "figure", "target"
        );
        Self::default()
    }

    pub(crate) fn add(&mut self, name: &str, measured: String, beside: String, figure: f64, target: Target) {
        let met = target.excess(figure) <= 1.0;
        let mark = if met { "" } else { "  missed" };
        println!("{name:<34} {measured:>18}  {beside:<44} {figure:>9.2}  {target:<9}{mark}");
        self.0.push(Row {
            name: name.to_owned(),
            measured,
            beside,
            figure,
            target,
            met,
        });
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.0
    }

    /// Returns the rows that are worse than their target by more than a factor.
    pub(crate) fn beyond(&self, factor: f64) -> Vec<&str> {
        let rows = self.0.iter().filter(|row| row.target.excess(row.figure) > factor);
        rows.map(|row| row.name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_is_compared_in_the_direction_of_its_target() {
        let mut table = Table::new();
        for (figure, target, met) in [
            (1.9, Target::AtMost(2.0), true),
            (2.1, Target::AtMost(2.0), false),
            (1.9, Target::AtLeast(2.0), false),
            (2.1, Target::AtLeast(2.0), true),
            (9.9, Target::Told, true),
        ] {
            table.add("row", String::new(), String::new(), figure, target);
            assert_eq!(table.rows().last().map(|row| row.met), Some(met), "{figure} {target}");
        }
        assert_eq!(table.beyond(1.2).len(), 0);
        assert_eq!(table.beyond(1.04).len(), 2);
    }
}
