//! The numbers that are judged by: how far a correct runtime may be off, and what that is made from.

/// The most that each check may measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// For [`Check::Nmse`].
    pub nmse: f64,
    /// For [`Check::KlMean`].
    pub kl_mean: f64,
    /// For [`Check::KlMax`].
    pub kl_max: f64,
    /// Logits that the two likeliest tokens must be apart for [`Check::TopOne`] to judge a position.
    pub margin: f64,
    /// Logits by which one logit may differ between two correct builds of the subject, for goldens. Between two subjects: the sum.
    pub drift: f64,
}

impl Limits {
    /// Limits for two subjects against each other, from what each is allowed against the truth.
    ///
    /// The root of NMSE is a distance, so the triangle inequality bounds it by the sum of the two roots; KL is, for small
    /// differences, quadratic in the same distance and follows the same rule.
    pub fn of_pair(a: &Self, b: &Self) -> Self {
        let join = |a: f64, b: f64| (a.sqrt() + b.sqrt()).powi(2);
        Self {
            nmse: join(a.nmse, b.nmse),
            kl_mean: join(a.kl_mean, b.kl_mean),
            kl_max: join(a.kl_max, b.kl_max),
            margin: a.margin + b.margin,
            drift: a.drift + b.drift,
        }
    }
}

/// The numbers of a comparison that limits are made from.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scale {
    /// Worst NMSE of a position.
    pub nmse: f64,
    /// Mean KL.
    pub kl_mean: f64,
    /// Worst KL of a position.
    pub kl_max: f64,
    /// Worst root mean square difference of a position, in logits.
    pub rms: f64,
}

impl Scale {
    /// The larger of the two in everything.
    #[must_use]
    pub fn at_least(self, floor: Self) -> Self {
        Self {
            nmse: self.nmse.max(floor.nmse),
            kl_mean: self.kl_mean.max(floor.kl_mean),
            kl_max: self.kl_max.max(floor.kl_max),
            rms: self.rms.max(floor.rms),
        }
    }

    /// False where a limit made from this would be no number.
    pub fn is_finite(&self) -> bool {
        [self.nmse, self.kl_mean, self.kl_max, self.rms].iter().all(|value| value.is_finite())
    }
}

/// How far a rounding moves the reference on a prompt.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// The worst of it.
    pub scale: Scale,
    /// NMSE of each position, in order.
    pub nmse: Vec<f64>,
}

impl Noise {
    /// The larger of the two in everything; both are of the same prompt.
    #[must_use]
    pub fn at_least(self, floor: &Self) -> Self {
        let nmse = self.nmse.iter().zip(&floor.nmse).map(|(a, b)| a.max(*b)).collect();
        Self { scale: self.scale.at_least(floor.scale), nmse }
    }

    /// False where a limit made from this would be no number.
    pub fn is_finite(&self) -> bool {
        self.scale.is_finite() && self.nmse.iter().all(|nmse| nmse.is_finite())
    }
}

/// All positions of a case together: how far it is from the truth, in units of how far the rounded reference is.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OverNoise {
    /// Positions at which both are off.
    pub positions: u64,
    /// Mean over them of the natural logarithm of NMSE over the rounded reference's NMSE.
    #[serde(with = "crate::verdict::number")]
    pub log_mean: f64,
}
