//! The curves of the metrics that matter, drawn on the server, so that the page shows them without
//! JavaScript and there is one drawing of a point, not two that must agree.
//!
//! The drawing library writes colours as fixed numbers; ours stand for the roles below and are
//! replaced by CSS variables, so that dark mode is the style sheet's business.

use entity::run::Kind;
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use serde_json::{Map, Value};

/// In pixels of the drawing; the page scales it.
const SIZE: (u32, u32) = (400, 220);

/// Points that a line shows at the most; of a longer one, every n-th and the last.
const MAX_POINTS: usize = 400;

/// What stands for what in the drawing.
const INK: RGBColor = RGBColor(1, 0, 0);
const GRID: RGBColor = RGBColor(2, 0, 0);
const LINES: [RGBColor; 3] = [RGBColor(3, 0, 1), RGBColor(3, 0, 2), RGBColor(3, 0, 3)];
const ROLES: [(&str, &str); 5] = [
    ("#010000", "var(--curve-ink)"),
    ("#020000", "var(--curve-grid)"),
    ("#030001", "var(--curve-1)"),
    ("#030002", "var(--curve-2)"),
    ("#030003", "var(--curve-3)"),
];

/// The metrics that matter, one chart each, in the order of the page. TRL's names.
fn charts_of(kind: Kind) -> &'static [&'static [&'static str]] {
    match kind {
        Kind::Sft => &[&["loss", "eval_loss"], &["learning_rate"], &["grad_norm"]],
        Kind::Reward => &[
            &["accuracy", "eval_accuracy"],
            &["loss", "eval_loss"],
            &["margin"],
            &["learning_rate"],
        ],
        Kind::Ppo => &[
            &["objective/rlhf_reward", "objective/scores"],
            &["objective/kl"],
            &["objective/entropy"],
            &["loss/policy_avg", "loss/value_avg"],
            &["policy/clipfrac_avg"],
            &["val/num_eos_tokens"],
        ],
        Kind::Sample => &[],
    }
}

/// A line of metrics as the run reported it, with its place in the run's events.
pub(super) struct Reported {
    pub sequence: i64,
    pub metrics: Map<String, Value>,
}

/// One chart on the page.
#[derive(Debug)]
pub(super) struct Chart {
    /// The metrics it shows, by their names.
    pub lines: Vec<Line>,
    pub svg: String,
}

/// One metric over the steps of the run.
#[derive(Debug)]
pub(super) struct Line {
    pub metric: &'static str,
    /// 1, 2 or 3: its colour.
    pub colour: usize,
    /// (step, value), each reported once.
    pub points: Vec<(f64, f64)>,
    /// The place of the newest point in the run's events.
    pub last_sequence: i64,
}

impl Line {
    fn new(metric: &'static str, colour: usize, reported: &[Reported]) -> Self {
        let mut line = Self { metric, colour, points: Vec::new(), last_sequence: 0 };
        for report in reported {
            let number = |name: &str| report.metrics.get(name).and_then(Value::as_f64);
            if let (Some(step), Some(value)) = (number("step"), number(metric)) {
                line.points.push((step, value));
                line.last_sequence = report.sequence;
            }
        }
        line
    }

    pub(super) fn n_points(&self) -> usize {
        self.points.len()
    }

    pub(super) fn latest(&self) -> String {
        self.points.last().map(|(_, value)| short(*value)).unwrap_or_default()
    }

    /// The points that are drawn.
    fn shown(&self) -> impl Iterator<Item = (f64, f64)> {
        let stride = self.points.len().div_ceil(MAX_POINTS).max(1);
        let last = self.points.len().saturating_sub(1);
        let kept = move |at: usize| at.is_multiple_of(stride) || at == last;
        self.points.iter().enumerate().filter(move |(at, _)| kept(*at)).map(|(_, point)| *point)
    }
}

/// The charts that a run of this kind has points for.
pub(super) fn draw(kind: Kind, reported: &[Reported]) -> anyhow::Result<Vec<Chart>> {
    let mut charts = Vec::new();
    for metrics in charts_of(kind) {
        let lines = (1..).zip(*metrics).map(|(colour, metric)| Line::new(metric, colour, reported));
        let lines: Vec<_> = lines.filter(|line| line.n_points() > 0).collect();
        if !lines.is_empty() {
            charts.push(Chart { svg: svg(&lines)?, lines });
        }
    }
    Ok(charts)
}

/// The newest value of every metric, by name.
pub(super) fn latest(reported: &[Reported]) -> Vec<(String, String)> {
    let mut newest = std::collections::BTreeMap::new();
    for report in reported {
        for (name, value) in &report.metrics {
            if let Some(value) = value.as_f64() {
                newest.insert(name.clone(), short(value));
            }
        }
    }
    newest.into_iter().collect()
}

fn svg(lines: &[Line]) -> anyhow::Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let all = || lines.iter().flat_map(|line| line.points.iter());
    let steps = bounds(all().map(|(step, _)| *step), 0.0);
    let values = bounds(all().map(|(_, value)| *value), 0.06);
    let mut chart = ChartBuilder::on(&area)
        .margin(8)
        .margin_right(14)
        .x_label_area_size(24)
        .y_label_area_size(52)
        .build_cartesian_2d(steps, values)?;
    let text = |anchor| ("sans-serif", 15).into_font().color(&INK).pos(anchor);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_labels(6)
        .y_labels(5)
        .x_label_formatter(&|step| if step.fract() == 0.0 { short(*step) } else { String::new() })
        .y_label_formatter(&|value| short(*value))
        .x_label_style(text(Pos::new(HPos::Center, VPos::Top)))
        .y_label_style(text(Pos::new(HPos::Right, VPos::Center)))
        .draw()?;
    for line in lines {
        let colour = LINES[(line.colour - 1).min(LINES.len() - 1)];
        chart.draw_series(LineSeries::new(line.shown(), colour.stroke_width(2)))?;
        chart.draw_series(line.shown().map(|point| Circle::new(point, 2, colour.filled())))?;
    }
    area.present()?;
    drop(chart);
    drop(area);
    Ok(ROLES.iter().fold(svg, |svg, (stand_in, role)| svg.replace(stand_in, role)))
}

/// Least to greatest, widened by a part of the distance; a single value gets room of its own size.
fn bounds(values: impl Iterator<Item = f64>, margin: f64) -> std::ops::Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let room = if high > low { (high - low) * margin } else { (high.abs() * 0.1).max(1e-9) };
    low - room..high + room
}

/// A number in at most six signs or so: 0.0123, 12.3, 1.2e-5.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if value.fract() == 0.0 && size < 1e6 {
        format!("{value:.0}")
    } else if !(1e-3..1e6).contains(&size) {
        let text = format!("{value:.2e}");
        text.replace(".00e", "e").replace("0e", "e")
    } else {
        let decimals = (3 - size.log10().floor() as i32).clamp(0, 5) as usize;
        let text = format!("{value:.decimals$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reported(rows: &[Value]) -> Vec<Reported> {
        let row = |(at, value): (usize, &Value)| Reported {
            sequence: at as i64 + 1,
            metrics: value.as_object().unwrap().clone(),
        };
        rows.iter().enumerate().map(row).collect()
    }

    #[test]
    fn every_reported_value_is_one_point_of_its_line() {
        let rows = [
            json!({"step": 0, "eval_loss": 3.0}),
            json!({"step": 1, "loss": 2.5, "learning_rate": 1e-4}),
            json!({"step": 2, "loss": 2.0, "learning_rate": null}),
        ];
        let charts = draw(Kind::Sft, &reported(&rows)).unwrap();
        let counted: Vec<_> = charts
            .iter()
            .flat_map(|chart| &chart.lines)
            .map(|line| (line.metric, line.n_points(), line.last_sequence))
            .collect();
        assert_eq!(counted, [("loss", 2, 3), ("eval_loss", 1, 1), ("learning_rate", 1, 2)]);
        assert_eq!(charts[0].svg.matches("<circle").count(), 3);
    }

    #[test]
    fn a_drawing_has_no_inline_style_and_no_colour_of_its_own() {
        let rows = [json!({"step": 1, "loss": 2.5}), json!({"step": 2, "loss": 2.0})];
        let charts = draw(Kind::Sft, &reported(&rows)).unwrap();
        let svg = &charts[0].svg;
        assert!(svg.contains("var(--curve-1)") && svg.contains("var(--curve-ink)"), "{svg}");
        assert!(
            !svg.contains("style=") && !svg.contains("\"#") && !svg.contains("<script"),
            "{svg}"
        );
    }

    #[test]
    fn a_long_line_is_thinned_and_keeps_its_last_point() {
        let rows: Vec<_> = (0..5000).map(|step| json!({"step": step, "loss": 1.0})).collect();
        let line = Line::new("loss", 1, &reported(&rows));
        assert_eq!(line.n_points(), 5000);
        assert!(line.shown().count() <= MAX_POINTS + 1);
        assert_eq!(line.shown().last(), Some((4999.0, 1.0)));
    }

    #[test]
    fn numbers_are_short() {
        let shorts = [0.0, 3.0, 0.012345, 12.3456, 2e-5, 123456.7, -0.5, 1.5e9].map(short);
        assert_eq!(shorts, ["0", "3", "0.01235", "12.35", "2e-5", "123457", "-0.5", "1.5e9"]);
    }
}
