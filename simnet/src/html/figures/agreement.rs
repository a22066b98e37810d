//! Agreement over time: how many different models there are, and how far the
//! peers lag.

use crate::html::axis::Axis;
use crate::html::chart::{Chart, n_of};
use crate::html::data::{AgreementPoint, ReportData};
use crate::html::document::{Content, Figure};
use crate::html::legend::{Key, Swatch};
use crate::html::paint::Paint;
use crate::html::svg::{Dash, Drawing, Fill, Point, Stroke, ribbon, steps};
use crate::html::thin;
use crate::html::timeline::Timeline;

/// Height of the plots.
const PLOT_HEIGHT: f64 = 210.0;
/// From this many models on the axis is logarithmic.
const LOG_FROM: f64 = 25.0;

/// The figure of the number of models.
pub fn models(data: &ReportData) -> Figure {
    let caption = format!(
        "Number of different models among all peers at the end of each epoch; 1 means that all \
         hold the same model, bit for bit. {}.{}",
        n_of(u64::from(data.header.peers), "peer", "peers"),
        Timeline::of(data).caption()
    );
    let content = match finite(data).as_slice() {
        [] => Content::Nothing("No models were compared.".to_owned()),
        points => Content::Column(draw_models(data, points)),
    };
    let (id, title) = ("models".to_owned(), "Different models".to_owned());
    Figure { id, title, caption, content }
}

/// The figure of the lag.
pub fn lag(data: &ReportData) -> Figure {
    let caption = format!(
        "How many epochs the newest term that is not empty lies behind the clock: mean over the \
         peers, and the peer that is furthest behind. {}.{}",
        n_of(u64::from(data.header.peers), "peer", "peers"),
        Timeline::of(data).caption()
    );
    let content = match finite(data).as_slice() {
        [] => Content::Nothing("No lag was measured.".to_owned()),
        points => Content::Column(draw_lag(data, points)),
    };
    Figure { id: "lag".to_owned(), title: "Lag of the shared model".to_owned(), caption, content }
}

fn finite(data: &ReportData) -> Vec<AgreementPoint> {
    let is_finite = |it: &&AgreementPoint| {
        [it.at_s, it.lag_mean_epochs, it.lag_max_epochs].into_iter().all(f64::is_finite)
    };
    data.agreement.iter().filter(is_finite).copied().collect()
}

fn chart(data: &ReportData, y: Axis, keys: Vec<Key>) -> Chart {
    Timeline::of(data).column(PLOT_HEIGHT, y, keys)
}

fn draw_models(data: &ReportData, points: &[AgreementPoint]) -> Drawing {
    let max = points.iter().map(|it| f64::from(it.models)).fold(1.0, f64::max);
    let title = "Different models";
    let y = if max >= LOG_FROM {
        Axis::of_log_counts(title, max)
    } else {
        Axis::of_counts(title, max, 6)
    };
    let stroke = Stroke::solid(Paint::Series(0), 2.2);
    let mut chart = chart(data, y, Vec::new());
    let counts: Vec<_> = points.iter().map(|it| (it.at_s, f64::from(it.models))).collect();
    let counts = thin::line(&counts, thin::points_max(chart.area.width));
    let places: Vec<_> = counts.iter().map(|&(x, y)| chart.point(x, y)).collect();
    chart.open_series();
    chart.series_path(&steps(&places), &counts, stroke, "models");
    chart.close_series();
    chart.finish()
}

fn draw_lag(data: &ReportData, points: &[AgreementPoint]) -> Drawing {
    let highest = points.iter().map(|it| it.lag_max_epochs.max(it.lag_mean_epochs));
    let y = Axis::from_zero("Lag (epochs)", highest.fold(1.0, f64::max), 6);
    let mean_stroke = Stroke::solid(Paint::Series(0), 2.2);
    let max_stroke = Stroke { paint: Paint::Series(1), width: 1.6, dash: Dash::Dashed };
    let keys = vec![
        Key::new("mean", Swatch::Line(mean_stroke)),
        Key::new("furthest behind", Swatch::Line(max_stroke)),
    ];
    let mut chart = chart(data, y, keys);
    let points_max = thin::points_max(chart.area.width);
    let series = |value: fn(&AgreementPoint) -> f64| {
        let values: Vec<_> = points.iter().map(|it| (it.at_s, value(it))).collect();
        thin::line(&values, points_max)
    };
    let (mean, max) = (series(|it| it.lag_mean_epochs), series(|it| it.lag_max_epochs));
    let upper: Vec<_> = mean.iter().map(|&(x, y)| chart.point(x, y)).collect();
    let base: Vec<_> = upper.iter().map(|it| Point { y: chart.area.bottom(), ..*it }).collect();
    chart.svg.fill_path(&ribbon(&upper, &base), Fill { paint: Paint::Series(0), opacity: 0.12 });
    chart.open_series();
    chart.series(&max, max_stroke, "furthest behind");
    chart.series(&mean, mean_stroke, "mean");
    chart.close_series();
    chart.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing;

    #[test]
    fn nothing_compared_is_a_sentence() {
        let mut data = testing::report();
        data.agreement.clear();
        assert!(matches!(models(&data).content, Content::Nothing(_)));
        assert!(matches!(lag(&data).content, Content::Nothing(_)));
    }

    #[test]
    fn many_models_take_a_logarithmic_axis() {
        let mut data = testing::report();
        let few = draw_models(&data, &finite(&data)).body;
        data.agreement[0].models = 1_000;
        let many = draw_models(&data, &finite(&data)).body;
        assert!(!few.contains(">200<") && many.contains(">200<"));
    }

    #[test]
    fn a_model_count_is_a_step() {
        let data = testing::report();
        let body = draw_models(&data, &finite(&data)).body;
        assert!(body.contains("data-name=\"models\""));
        assert!(body.contains('H') && body.contains('V'));
    }
}
