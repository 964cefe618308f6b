//! Confidence against a reference in floating point, which the fold must not use: to one permille, at every silence; its
//! crossings are the first millisecond below an edge; and it never rises in silence.

use presence_engine::model::confidence::CERTAIN;
use presence_engine::model::{Confidence, Curve};
use proptest::prelude::*;

/// The curves as their formulas stand in books.
fn reference(confidence: &Confidence, silence: u64, grace: u64) -> f64 {
    let half_life = confidence.half_life as f64;
    match confidence.model {
        Curve::HalfLife => (-(silence.saturating_sub(grace) as f64) / half_life).exp2(),
        Curve::Hazard { lost_permille } => {
            let missing = (silence / grace) as i32;
            let silent = (f64::from(lost_permille) / 1_000.0).powi(missing);
            let rate = std::f64::consts::LN_2 / half_life;
            let stays = (-rate * silence as f64).exp();
            let departed = -(-rate * silence as f64).exp_m1();
            if silent * stays + departed == 0.0 { 0.0 } else { silent * stays / (silent * stays + departed) }
        }
    }
}

fn confidences() -> impl Strategy<Value = (Confidence, u64)> {
    let curve =
        prop_oneof![Just(Curve::HalfLife), (0_u16..=500).prop_map(|lost_permille| Curve::Hazard { lost_permille })];
    let millis = || prop_oneof![1_000_u64..5_000, 1_000_u64..600_000, 1_000_u64..90_000_000];
    (curve, millis(), millis(), prop::bool::ANY, 0_u64..3_600_000).prop_map(
        |(model, grace, half_life, promised, more)| {
            let confidence = Confidence { model, grace, half_life, bands: vec![500] };
            let grace = if promised { grace + more } else { grace };
            (confidence, grace)
        },
    )
}

proptest! {
    #[test]
    fn it_is_the_reference_to_one_permille(
        (confidence, grace) in confidences(),
        halves in prop_oneof![0.0_f64..3.0, 0.0_f64..40.0],
    ) {
        let silence = grace + (halves * confidence.half_life as f64) as u64;
        for silence in [silence, silence / 3, grace, grace.saturating_sub(1)] {
            let (told, exact) = (confidence.permille(silence, grace), reference(&confidence, silence, grace) * 1_000.0);
            prop_assert!((f64::from(told) - exact).abs() <= 1.0, "{told} instead of {exact} after {silence} ms");
            prop_assert!(f64::from(told) <= exact + 1e-6, "{told} is not {exact} rounded down");
        }
    }

    #[test]
    fn it_never_rises_in_silence((confidence, grace) in confidences(), silence in 0_u64..400_000_000, step in 0_u64..100_000) {
        prop_assert!(confidence.permille(silence + 1, grace) <= confidence.permille(silence, grace));
        prop_assert!(confidence.permille(silence + step, grace) <= confidence.permille(silence, grace));
    }

    #[test]
    fn a_crossing_is_the_first_millisecond_below_the_edge((confidence, grace) in confidences(), edge in 1_u16..=CERTAIN) {
        let crossing = confidence.below_at(edge, grace);
        prop_assert!(confidence.permille(crossing, grace) < edge);
        prop_assert!(confidence.permille(crossing - 1, grace) >= edge, "at {crossing} it is below already");
    }
}

#[test]
fn halves_are_exact() {
    let confidence = Confidence::default();
    for (halvings, permille) in [(0, 1_000), (1, 500), (2, 250), (3, 125), (4, 62), (9, 1), (10, 0)] {
        assert_eq!(confidence.permille(30_000 + halvings * 60_000, 30_000), permille);
    }
}

#[test]
fn a_beat_that_is_missed_weighs_more_than_time() {
    let model = Curve::Hazard { lost_permille: 100 };
    let confidence = Confidence { model, grace: 30_000, half_life: 1_800_000, bands: vec![500] };
    let told = [0, 29_999, 30_000, 59_999, 60_000, 90_000].map(|silence| confidence.permille(silence, 30_000));
    assert_eq!(told, [1_000, 988, 895, 810, 299, 27]);
}
