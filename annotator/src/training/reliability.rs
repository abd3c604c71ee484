//! The reliability curve of a reward model: how often it is right on the held-out comparisons of which
//! it is so sure. On the diagonal the two agree; below it, it is too sure.

use super::drawing::{self, GRID, INK, LINES, label};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use serde_json::Value;

/// The widest point, in pixels; the others are as large as their share of comparisons.
const WIDEST: f64 = 9.0;

/// By rising sureness.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReliabilityCurve {
    bins: Vec<SurenessBin>,
}

/// A drawn curve.
#[derive(Debug, PartialEq)]
pub struct ReliabilityChart {
    pub svg: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct SurenessBin {
    /// From ½ to 1.
    sureness: f64,
    /// From 0 to 1.
    right: f64,
    n: f64,
}

impl ReliabilityCurve {
    /// As a training process reports it: `[sureness, part that is right, pairs]` a bin. What is no
    /// such list is no curve.
    pub fn of(measured: &Value) -> Self {
        let bins: Vec<[f64; 3]> = serde_json::from_value(measured.clone()).unwrap_or_default();
        let is_part = |part: f64| (0.0..=1.0).contains(&part);
        let bins = bins
            .into_iter()
            .filter(|[sureness, right, n]| is_part(*sureness) && is_part(*right) && *n > 0.0)
            .map(|[sureness, right, n]| SurenessBin { sureness, right, n })
            .collect();
        Self { bins }
    }

    /// None where nothing was measured.
    pub fn draw(&self) -> anyhow::Result<Option<ReliabilityChart>> {
        let most = self.bins.iter().map(|bin| bin.n).fold(0.0, f64::max);
        if most == 0.0 {
            return Ok(None);
        }
        let svg = drawing::svg(|area| {
            let mut chart = ChartBuilder::on(area)
                .margin(10)
                // Half of the last label.
                .margin_right(26)
                .x_label_area_size(24)
                .y_label_area_size(52)
                .build_cartesian_2d(0.5..1.0, 0.0..1.0)?;
            let percent = |part: &f64| format!("{:.0} %", part * 100.0);
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(GRID)
                .axis_style(GRID)
                .x_labels(6)
                .y_labels(6)
                .x_label_formatter(&percent)
                .y_label_formatter(&percent)
                .x_label_style(label(Pos::new(HPos::Center, VPos::Top)))
                .y_label_style(label(Pos::new(HPos::Right, VPos::Center)))
                .draw()?;
            chart.draw_series(LineSeries::new([(0.5, 0.5), (1.0, 1.0)], INK.stroke_width(1)))?;
            let points = || self.bins.iter().map(|bin| (bin.sureness, bin.right));
            chart.draw_series(LineSeries::new(points(), LINES[0].stroke_width(2)))?;
            let circle = |bin: &SurenessBin| {
                let radius = (WIDEST * (bin.n / most).sqrt()).max(2.0) as i32;
                Circle::new((bin.sureness, bin.right), radius, LINES[0].filled())
            };
            chart.draw_series(self.bins.iter().map(circle))?;
            Ok(())
        })?;
        Ok(Some(ReliabilityChart { svg }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_bin_is_a_point_and_what_is_no_curve_is_not_drawn() {
        let curve = ReliabilityCurve::of(&json!([[0.55, 0.5, 40.0], [0.97, 0.8, 10.0]]));
        let svg = curve.draw().unwrap().expect("a curve").svg;
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("r=\"9\"") && svg.contains("r=\"4\""), "{svg}");
        assert!(svg.contains("var(--curve-1)") && !svg.contains("\"#"), "{svg}");
        for nothing in [json!([]), json!("x"), json!([[2.0, 0.5, 1.0]]), json!([[0.7, 0.5, 0.0]])] {
            assert_eq!(ReliabilityCurve::of(&nothing).draw().unwrap(), None, "{nothing}");
        }
    }
}
