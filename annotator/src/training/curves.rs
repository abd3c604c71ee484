//! The curves of the metrics that matter, drawn on the server, so that the page shows them without
//! JavaScript and there is one drawing of a point, not two that must agree.

use crate::training::{
    drawing::{self, GRID, LINES, label},
    run_digest::{MetricSeries, RunDigest},
};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// Points that a line shows at the most; of a longer one, every n-th and the last.
const MAX_POINTS: usize = 400;

/// One chart on the page.
#[derive(Debug)]
pub struct MetricChart {
    pub lines: Vec<ChartLine>,
    pub svg: String,
}

/// One metric over the steps of one run.
#[derive(Debug)]
pub struct ChartLine {
    /// The metric, or the run where a chart compares runs.
    pub label: String,
    /// From 1: its colour.
    pub colour: usize,
    pub n_points: usize,
    /// The newest value.
    pub latest: String,
    /// The place of the newest point in the run's events.
    pub last_sequence: i64,
    /// (step, value): the points that are drawn.
    shown: Vec<(f64, f64)>,
}

impl ChartLine {
    /// None for a metric without points.
    fn new(label: &str, colour: usize, series: &MetricSeries) -> Option<Self> {
        let points = &series.points;
        let stride = points.len().div_ceil(MAX_POINTS).max(1);
        let last = points.len().checked_sub(1)?;
        let kept = |at: usize| at.is_multiple_of(stride) || at == last;
        Some(Self {
            label: label.to_owned(),
            colour,
            n_points: points.len(),
            latest: short(points[last].1),
            last_sequence: series.last_sequence,
            shown: (0..points.len()).filter(|at| kept(*at)).map(|at| drawn(points[at])).collect(),
        })
    }
}

/// A point within what can be drawn: distances of greater numbers are no numbers any more.
fn drawn((step, value): (f64, f64)) -> (f64, f64) {
    let within = |number: f64| if number.is_nan() { 0.0 } else { number.clamp(-1e100, 1e100) };
    (within(step), within(value))
}

/// The charts that a run has points for; each is of these metrics.
pub fn draw(charts: &[&[&str]], digest: &RunDigest) -> anyhow::Result<Vec<MetricChart>> {
    let line = |(colour, metric): (usize, &&str)| {
        digest.series.get(*metric).and_then(|series| ChartLine::new(metric, colour, series))
    };
    let lines_of =
        |metrics: &&[&str]| -> Vec<ChartLine> { (1..).zip(*metrics).filter_map(line).collect() };
    let charts = charts.iter().map(lines_of).filter(|lines| !lines.is_empty());
    charts.map(|lines| Ok(MetricChart { svg: svg(&lines)?, lines })).collect()
}

/// One metric of several runs in one chart, each run by its label and in the colour of its place;
/// none where no run has points.
pub fn overlay(metric: &str, runs: &[(String, &RunDigest)]) -> anyhow::Result<Option<MetricChart>> {
    let line = |(colour, (label, digest)): (usize, &(String, &RunDigest))| {
        digest.series.get(metric).and_then(|series| ChartLine::new(label, colour, series))
    };
    let lines: Vec<_> = (1..).zip(runs).filter_map(line).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    Ok(Some(MetricChart { svg: svg(&lines)?, lines }))
}

/// The newest value of a metric.
pub struct NewestValue {
    pub metric: String,
    pub value: String,
    /// The step after which it was measured, where the run has gone on since; 0 is before the first.
    pub as_of: Option<u64>,
}

/// The newest value of every metric, by name.
pub fn latest(digest: &RunDigest) -> Vec<NewestValue> {
    let step_of = |series: &MetricSeries| series.points.last().map_or(0.0, |(step, _)| *step);
    let newest = digest.series.values().map(step_of).fold(0.0, f64::max);
    let of_metric = |(name, series): (&String, &MetricSeries)| {
        let (step, value) = *series.points.last()?;
        let is_old = step < newest || step == 0.0;
        Some(NewestValue {
            metric: name.clone(),
            value: short(value),
            as_of: is_old.then_some(step as u64),
        })
    };
    digest.series.iter().filter_map(of_metric).collect()
}

fn svg(lines: &[ChartLine]) -> anyhow::Result<String> {
    let all = || lines.iter().flat_map(|line| line.shown.iter());
    let steps = bounds(all().map(|(step, _)| *step), 0.0);
    let values = bounds(all().map(|(_, value)| *value), 0.06);
    // Ticks are sums, whose zero is rarely exact.
    let nothing = (values.end - values.start) * 1e-9;
    let tick = |value: &f64| short(if value.abs() < nothing { 0.0 } else { *value });
    drawing::svg(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(14)
            .x_label_area_size(24)
            .y_label_area_size(52)
            .build_cartesian_2d(steps, values)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(6)
            .y_labels(5)
            .x_label_formatter(&|step| {
                if step.fract() == 0.0 { short(*step) } else { String::new() }
            })
            .y_label_formatter(&tick)
            .x_label_style(label(Pos::new(HPos::Center, VPos::Top)))
            .y_label_style(label(Pos::new(HPos::Right, VPos::Center)))
            .draw()?;
        for line in lines {
            let colour = LINES[(line.colour - 1).min(LINES.len() - 1)];
            chart
                .draw_series(LineSeries::new(line.shown.iter().copied(), colour.stroke_width(2)))?;
            let points = line.shown.iter();
            chart.draw_series(points.map(|point| Circle::new(*point, 2, colour.filled())))?;
        }
        Ok(())
    })
}

/// Least to greatest, widened by a part of the distance; a single value gets room of its own size.
fn bounds(values: impl Iterator<Item = f64>, margin: f64) -> std::ops::Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let room = if high > low {
        (high - low) * margin
    } else if high == 0.0 {
        1.0
    } else {
        high.abs() * 0.1
    };
    // So wide that there are numbers between for the ticks, which are drawn step by step.
    let least = low.abs().max(high.abs()).max(1e-100) * 1e-9;
    let room = room.max(if high - low < least { least } else { 0.0 });
    low - room..high + room
}

/// A number in at most six signs or so: 0.0123, 12.3, 1.2e-5.
pub fn short(value: f64) -> String {
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
    use crate::training::kinds::definition;
    use entity::run_config::RunKind;
    use proptest::prelude::*;

    fn digest(metrics: &[(&str, &[(f64, f64)])]) -> RunDigest {
        let series = metrics.iter().map(|(name, points)| {
            let series =
                MetricSeries { points: points.to_vec(), last_sequence: points.len() as i64 };
            ((*name).to_owned(), series)
        });
        RunDigest { series: series.collect(), ..RunDigest::default() }
    }

    #[test]
    fn every_reported_value_is_one_point_of_its_line() {
        let digest = digest(&[
            ("loss", &[(1.0, 2.5), (2.0, 2.0)]),
            ("eval_loss", &[(0.0, 3.0)]),
            ("learning_rate", &[(1.0, 1e-4)]),
        ]);
        let charts = draw(definition(RunKind::Sft).charts, &digest).unwrap();
        let counted: Vec<_> = charts
            .iter()
            .flat_map(|chart| &chart.lines)
            .map(|line| (line.label.as_str(), line.n_points, line.last_sequence))
            .collect();
        assert_eq!(counted, [("loss", 2, 2), ("eval_loss", 1, 1), ("learning_rate", 1, 1)]);
        assert_eq!(charts[0].svg.matches("<circle").count(), 3);
    }

    #[test]
    fn runs_are_laid_over_each_other_each_in_its_own_colour() {
        let (left, right) =
            (digest(&[("loss", &[(1.0, 2.5)])]), digest(&[("loss", &[(1.0, 2.0)])]));
        let silent = RunDigest::default();
        let runs = [("A".to_owned(), &left), ("B".to_owned(), &silent), ("C".to_owned(), &right)];
        let chart = overlay("loss", &runs).unwrap().unwrap();
        let lines: Vec<_> =
            chart.lines.iter().map(|line| (line.label.as_str(), line.colour)).collect();
        assert_eq!(lines, [("A", 1), ("C", 3)]);
        assert!(chart.svg.contains("var(--curve-3)") && !chart.svg.contains("var(--curve-2)"));
        assert!(overlay("grad_norm", &runs).unwrap().is_none());
    }

    #[test]
    fn a_drawing_has_no_inline_style_and_no_colour_of_its_own() {
        let charts =
            draw(definition(RunKind::Sft).charts, &digest(&[("loss", &[(1.0, 2.5), (2.0, 2.0)])]))
                .unwrap();
        let svg = &charts[0].svg;
        assert!(svg.contains("var(--curve-1)") && svg.contains("var(--curve-ink)"), "{svg}");
        assert!(
            !svg.contains("style=") && !svg.contains("\"#") && !svg.contains("<script"),
            "{svg}"
        );
    }

    #[test]
    fn the_tick_at_zero_says_zero() {
        for tenths in 1..60 {
            let (low, high) = (-0.01 * f64::from(tenths), 0.6 - 0.01 * f64::from(tenths));
            let margins = [(1.0, low), (2.0, high)];
            let charts =
                draw(definition(RunKind::Dpo).charts, &digest(&[("rewards/margins", &margins)]))
                    .unwrap();
            let labels = charts[0].svg.lines().filter_map(|line| line.parse::<f64>().ok());
            for label in labels {
                assert!(label == 0.0 || label.abs() > 1e-9, "{label} from {low} to {high}");
            }
        }
    }

    #[test]
    fn a_long_line_is_thinned_and_keeps_its_last_point() {
        let points: Vec<_> = (0..5000).map(|step| (f64::from(step), 1.0)).collect();
        let line =
            ChartLine::new("loss", 1, &MetricSeries { points, last_sequence: 5000 }).unwrap();
        assert_eq!(line.n_points, 5000);
        assert!(line.shown.len() <= MAX_POINTS + 1);
        assert_eq!(line.shown.last(), Some(&(4999.0, 1.0)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_numbers_are_drawn(
            values in prop::collection::vec((number(), number()), 1..5),
            close in number(),
        ) {
            let neighbours = [(close, close), (close.next_up(), close.next_up())];
            for points in [&values[..], &neighbours] {
                let digest = digest(&[("loss", points)]);
                let charts = draw(&[&["loss"]], &digest).unwrap();
                prop_assert!(charts[0].svg.len() < 100_000 && !charts[0].svg.contains("NaN"));
            }
        }
    }

    /// Of every size.
    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
            -1e3..1e3
        ]
    }

    #[test]
    fn numbers_are_short() {
        let shorts = [0.0, 3.0, 0.012345, 12.3456, 2e-5, 123456.7, -0.5, 1.5e9].map(short);
        assert_eq!(shorts, ["0", "3", "0.01235", "12.35", "2e-5", "123457", "-0.5", "1.5e9"]);
    }
}
