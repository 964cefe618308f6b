//! Confidence: how probable it is that a session is still there, from its silence alone. Integers and tables only.

use serde::{Deserialize, Serialize};

use super::{Certainty, Millis};

/// Certainty, in thousandths.
pub const CERTAIN: u16 = 1_000;
/// Most bands of one profile.
pub const BANDS_MAX: usize = 8;

/// How confidence falls with silence. All times in milliseconds of observed time.
///
/// ```
/// use presence_engine::model::Confidence;
/// let confidence = Confidence::default();
/// let grace = confidence.grace;
/// assert_eq!(confidence.permille(grace, grace), 1_000);
/// assert_eq!(confidence.permille(grace + confidence.half_life, grace), 500);
/// assert_eq!(confidence.below_at(500, grace), grace + confidence.half_life + 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confidence {
    /// Which curve it is.
    pub model: Curve,
    /// `half_life`: silence up to this takes nothing away. `hazard`: the interval in which a beat is due.
    pub grace: Millis,
    /// `half_life`: beyond the grace, confidence halves in this time. `hazard`: of the sessions that are there, half depart
    /// in this time.
    pub half_life: Millis,
    /// The edges whose crossing is told, in thousandths, from high to low. An edge belongs to the band above it.
    pub bands: Vec<u16>,
}

/// The curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Curve {
    /// `2^-((silence - grace) / half_life)` beyond the grace.
    HalfLife,
    /// The probability that a session which has been silent for `t` is still there, by Bayes' rule: with `S` the probability that
    /// one that is there stays silent for so long, and `h` the rate of departures, `S·e^(-ht) / (S·e^(-ht) + 1 - e^(-ht))`. `S` is
    /// `lost^k` when `k` beats are missing, each of which may be lost by itself; `h` is `ln 2 / half_life`.
    Hazard {
        /// The probability that a beat doesn't come although the session is there, in thousandths.
        lost_permille: u16,
    },
}

impl Curve {
    /// The name in payloads and in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HalfLife => "half_life",
            Self::Hazard { .. } => "hazard",
        }
    }
}

impl Default for Confidence {
    fn default() -> Self {
        Self { model: Curve::HalfLife, grace: 30_000, half_life: 60_000, bands: vec![500] }
    }
}

impl Confidence {
    /// The confidence after so much silence, in thousandths, rounded down. `grace` is the profile's own, or longer under a promise.
    #[must_use]
    pub fn permille(&self, silence: Millis, grace: Millis) -> u16 {
        let thousandths = match self.model {
            Curve::HalfLife if silence <= grace => u128::from(CERTAIN),
            Curve::HalfLife => {
                u128::from(halved(silence.saturating_sub(grace), self.half_life)) * 1_000 / u128::from(ONE)
            }
            Curve::Hazard { lost_permille } => {
                let stays = halved(silence, self.half_life);
                let silent = power(lost_permille, silence / grace.max(1));
                let there = u128::from(silent) * u128::from(stays) / u128::from(ONE);
                there * 1_000 / (there + u128::from(ONE - stays)).max(1)
            }
        };
        u16::try_from(thousandths).expect("a probability is 1000 thousandths at most")
    }

    /// A confidence as events tell it, with the curve it follows.
    #[must_use]
    pub fn certainty(&self, permille: u16, grace: Millis) -> Certainty {
        Certainty { permille, model: self.model, grace_ms: grace, half_life_ms: self.half_life }
    }

    /// How many of the bands' edges lie above a confidence: 0 is the highest band.
    #[must_use]
    pub fn band(&self, permille: u16) -> u8 {
        self.bands.iter().filter(|edge| permille < **edge).count() as u8
    }

    /// The first silence at which the confidence is below `edge` thousandths (1 to 1000), by the inverse of the curve. What
    /// the tables round away, a few milliseconds, the curve itself puts right.
    #[must_use]
    pub fn below_at(&self, edge: u16, grace: Millis) -> Millis {
        let edge = edge.clamp(1, CERTAIN);
        let p = u128::from(edge);
        match self.model {
            Curve::HalfLife => {
                let beyond = times(self.half_life, log2(1_000, p));
                self.first_below(edge, grace, grace, grace + beyond)
            }
            Curve::Hazard { lost_permille } => {
                // While k beats are missing S stands still, and the confidence falls below p where e^(-ht) falls below
                // p / (S·(1 - p) + p). The first k whose stretch reaches that silence has the crossing.
                let grace = grace.max(1);
                let mut begin = 0;
                for k in 0.. {
                    let silent = u128::from(power(lost_permille, k));
                    let one = u128::from(ONE);
                    let crossing = times(self.half_life, log2(silent * (1_000 - p) + one * p, one * p));
                    if crossing < begin + grace {
                        return self.first_below(edge, grace, begin, crossing.max(begin));
                    }
                    begin += grace;
                }
                unreachable!("S reaches 0, and below p is where S is 0")
            }
        }
    }

    /// The first silence from `begin` on that is below `edge`; `guess` lies within a few milliseconds of it.
    fn first_below(&self, edge: u16, grace: Millis, begin: Millis, guess: Millis) -> Millis {
        let is_below = |silence| self.permille(silence, grace) < edge;
        let mut at = guess;
        while at > begin && is_below(at - 1) {
            at -= 1;
        }
        while !is_below(at) {
            at += 1;
        }
        at
    }
}

/// 1 in fixed point.
const ONE: u64 = 1 << 62;

/// `2^-(1/2^i)` for `i` from 1, in units of `2^-64`, rounded down.
const ROOTS: [u64; 48] = [
    0xb504_f333_f9de_6484,
    0xd744_fcca_d69d_6af4,
    0xeac0_c6e7_dd24_392e,
    0xf525_7d15_2486_cc2c,
    0xfa83_b2db_722a_033a,
    0xfd3e_0c0c_f486_c174,
    0xfe9e_115c_7b8f_884b,
    0xff4e_cb59_511e_c8a5,
    0xffa7_5652_1c8d_aed1,
    0xffd3_a751_c0f7_e10b,
    0xffe9_d2b2_f7db_2755,
    0xfff4_e91b_ff1b_8c3d,
    0xfffa_747e_a004_0664,
    0xfffd_3a3b_7814_eb53,
    0xfffe_9d1c_c60d_dab1,
    0xffff_4e8e_2587_9bfa,
    0xffff_a747_0363_f451,
    0xffff_d3a3_7dda_0313,
    0xffff_e9d1_bdf7_03ae,
    0xffff_f4e8_debe_025e,
    0xffff_fa74_6f4f_a150,
    0xffff_fd3a_37a3_f8b0,
    0xffff_fe9d_1bd1_065a,
    0xffff_ff4e_8de8_45ad,
    0xffff_ffa7_46f4_1376,
    0xffff_ffd3_a37a_05e3,
    0xffff_ffe9_d1bd_01fb,
    0xffff_fff4_e8de_80c0,
    0xffff_fffa_746f_4050,
    0xffff_fffd_3a37_a024,
    0xffff_fffe_9d1b_d011,
    0xffff_ffff_4e8d_e808,
    0xffff_ffff_a746_f404,
    0xffff_ffff_d3a3_7a02,
    0xffff_ffff_e9d1_bd01,
    0xffff_ffff_f4e8_de80,
    0xffff_ffff_fa74_6f40,
    0xffff_ffff_fd3a_37a0,
    0xffff_ffff_fe9d_1bd0,
    0xffff_ffff_ff4e_8de8,
    0xffff_ffff_ffa7_46f4,
    0xffff_ffff_ffd3_a37a,
    0xffff_ffff_ffe9_d1bd,
    0xffff_ffff_fff4_e8de,
    0xffff_ffff_fffa_746f,
    0xffff_ffff_fffd_3a37,
    0xffff_ffff_fffe_9d1b,
    0xffff_ffff_ffff_4e8d,
];

/// `2^-(age / half_life)` in units of `1/ONE`: whole halvings by a shift, the rest by the binary digits of its exponent.
fn halved(age: Millis, half_life: Millis) -> u64 {
    let (whole, rest) = (age / half_life, age % half_life);
    if whole >= 62 {
        return 0;
    }
    let exponent = (u128::from(rest) << ROOTS.len()) / u128::from(half_life);
    let digits = ROOTS.iter().enumerate().filter(|(i, _)| exponent >> (ROOTS.len() - 1 - i) & 1 == 1);
    digits.fold(ONE, |value, (_, root)| product(value, *root)) >> whole
}

/// `value × factor / 2^64`.
fn product(value: u64, factor: u64) -> u64 {
    ((u128::from(value) * u128::from(factor)) >> 64) as u64
}

/// `(permille / 1000)^times` in units of `1/ONE`.
fn power(permille: u16, times: u64) -> u64 {
    let mut value = ONE;
    for _ in 0..times {
        if value == 0 {
            break;
        }
        value = (u128::from(value) * u128::from(permille) / 1_000) as u64;
    }
    value
}

/// The binary logarithm of `a / b`, which lies between 1 and 1000, in units of `2^-32`: a binary digit for each squaring.
fn log2(a: u128, b: u128) -> u64 {
    const MANTISSA_BITS: u32 = 62;
    let ratio = (a << 50) / b;
    let whole = ratio.ilog2() - 50;
    let mut mantissa = ratio << (MANTISSA_BITS - 50) >> whole;
    let mut logarithm = u64::from(whole);
    for _ in 0..32 {
        mantissa = (mantissa * mantissa) >> MANTISSA_BITS;
        let digit = mantissa >> (MANTISSA_BITS + 1);
        logarithm = logarithm << 1 | digit as u64;
        mantissa >>= digit;
    }
    logarithm
}

/// `time × logarithm`, with a logarithm in units of `2^-32`.
fn times(time: Millis, logarithm: u64) -> Millis {
    ((u128::from(time) * u128::from(logarithm)) >> 32) as Millis
}
