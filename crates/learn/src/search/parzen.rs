//! Parzen estimators over mixed axes: one product kernel per observation and one that is flat.
//!
//! The kernel on an ordered axis is a logistic density truncated to `[0, 1]`: its distribution
//! function and quantiles are elementary, so the mass of a whole number's interval is exact. Its
//! standard deviation has Scott's exponent for d dimensions, `0.15 n^(-1/(d+4))` of the range, and is
//! at least `1/2(n+1)` and half a hundredth. On an axis of names the kernel puts most weight on the
//! observed one.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

use super::space::{Axis, Scale};

/// A density over positions on some axes.
#[derive(Debug)]
pub(super) struct Parzen<'a> {
    axes: &'a [Axis],
    observed: &'a [Vec<f64>],
    /// Scale of the logistic kernels.
    spread: f64,
}

impl<'a> Parzen<'a> {
    /// `observed` positions, one per axis each; none give the flat density.
    pub(super) fn new(axes: &'a [Axis], observed: &'a [Vec<f64>]) -> Self {
        let (n, d) = (observed.len() as f64, axes.len() as f64);
        let deviation = (0.15 * n.powf(-1.0 / (d + 4.0))).max(0.5 / (n + 1.0).min(100.0));
        // A logistic density's standard deviation is its scale times pi over the root of 3.
        Parzen { axes, observed, spread: deviation * 3f64.sqrt() / std::f64::consts::PI }
    }

    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let kernel = self.observed.get(below(rng, self.observed.len() + 1));
        self.axes
            .iter()
            .enumerate()
            .map(|(i, axis)| {
                let centre = kernel.and_then(|kernel| kernel.get(i)).copied();
                match (&axis.scale, centre) {
                    (Scale::Named(names), centre) => self.draw_name(names.len(), centre, rng),
                    (_, None) => uniform(rng),
                    (_, Some(centre)) => Truncated { centre, spread: self.spread }.quantile(uniform(rng)),
                }
            })
            .collect()
    }

    /// Log density at `positions`, by whole intervals where an axis has them.
    pub(super) fn log_density(&self, positions: &[f64]) -> f64 {
        let kernels = self.observed.iter().map(Some).chain([None]);
        let sum: f64 = kernels.map(|kernel| self.kernel_density(kernel, positions)).sum();
        (sum / (self.observed.len() + 1) as f64).max(f64::MIN_POSITIVE).ln()
    }

    fn kernel_density(&self, kernel: Option<&Vec<f64>>, positions: &[f64]) -> f64 {
        let mut density = 1.0;
        for (i, (axis, &at)) in self.axes.iter().zip(positions).enumerate() {
            let centre = kernel.and_then(|kernel| kernel.get(i)).copied();
            density *= match (&axis.scale, axis.scale.interval(at), centre) {
                (Scale::Named(names), _, centre) => {
                    self.name_weight(names.len(), centre == Some(at), centre.is_some())
                }
                (_, Some((from, to)), None) => to - from,
                (_, Some((from, to)), Some(centre)) => {
                    Truncated { centre, spread: self.spread }.mass(from, to)
                }
                (_, None, None) => 1.0,
                (_, None, Some(centre)) => Truncated { centre, spread: self.spread }.density(at),
            };
        }
        density
    }

    /// Weight of one of `names` under a kernel: each gets a share of one observation, so that more
    /// observations trust theirs more.
    fn name_weight(&self, names: usize, observed: bool, kernel: bool) -> f64 {
        let share = 1.0 / names as f64;
        if !kernel {
            return share;
        }
        let doubt = 1.0 / (self.observed.len() + 1) as f64;
        doubt * share + if observed { 1.0 - doubt } else { 0.0 }
    }

    fn draw_name(&self, names: usize, centre: Option<f64>, rng: &mut ChaCha8Rng) -> f64 {
        let doubt = 1.0 / (self.observed.len() + 1) as f64;
        match centre {
            Some(centre) if uniform(rng) >= doubt => centre,
            _ => below(rng, names) as f64,
        }
    }
}

/// A logistic density of a centre in `[0, 1]`, cut off at 0 and 1.
struct Truncated {
    centre: f64,
    spread: f64,
}

impl Truncated {
    fn cumulative(&self, at: f64) -> f64 {
        1.0 / (1.0 + (-(at - self.centre) / self.spread).exp())
    }

    fn inside(&self) -> f64 {
        self.cumulative(1.0) - self.cumulative(0.0)
    }

    fn mass(&self, from: f64, to: f64) -> f64 {
        (self.cumulative(to) - self.cumulative(from)) / self.inside()
    }

    fn density(&self, at: f64) -> f64 {
        let p = self.cumulative(at);
        p * (1.0 - p) / (self.spread * self.inside())
    }

    fn quantile(&self, share: f64) -> f64 {
        let p = self.cumulative(0.0) + share * self.inside();
        (self.centre + self.spread * (p / (1.0 - p)).ln()).clamp(0.0, 1.0)
    }
}

/// Uniform on `[0, 1)`.
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Uniform on `0..limit`, 0 for an empty range; biased by less than 2^-50 for any list's length.
pub(super) fn below(rng: &mut ChaCha8Rng, limit: usize) -> usize {
    ((uniform(rng) * limit as f64) as usize).min(limit.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use clinical::study::search::Value;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn axes() -> Vec<Axis> {
        [
            Scale::Real { low: 0.0, high: 1.0, log: false },
            Scale::Whole { low: 1, high: 4, log: false },
            Scale::Named([1, 2, 3].map(Value::Whole).into()),
        ]
        .into_iter()
        .map(|scale| Axis { name: String::new(), scale })
        .collect()
    }

    #[test]
    fn the_density_sums_to_one() {
        let axes = axes();
        let observed = [vec![0.1, 0.125, 2.0], vec![0.95, 0.875, 0.0], vec![0.2, 0.375, 2.0]];
        for observed in [&observed[..], &[]] {
            let parzen = Parzen::new(&axes, observed);
            let mut sum = 0.0;
            for real in 0..1000 {
                for whole in 0..4 {
                    for name in 0..3 {
                        let at =
                            [(f64::from(real) + 0.5) / 1000.0, f64::from(whole) / 4.0 + 0.1, f64::from(name)];
                        sum += parzen.log_density(&at).exp() / 1000.0;
                    }
                }
            }
            assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        }
    }

    #[test]
    fn draws_follow_the_density() {
        let axes = axes();
        let observed = [vec![0.1, 0.125, 2.0], vec![0.95, 0.875, 0.0]];
        let parzen = Parzen::new(&axes, &observed);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut seen = [[[0u32; 3]; 4]; 10];
        const DRAWS: u32 = 200_000;
        for _ in 0..DRAWS {
            let at = parzen.draw(&mut rng);
            let whole = axes[1].scale.value(at[1]).number().unwrap() as usize - 1;
            seen[((at[0] * 10.0) as usize).min(9)][whole][at[2] as usize] += 1;
        }
        for (tenth, wholes) in seen.iter().enumerate() {
            for (whole, names) in wholes.iter().enumerate() {
                for (name, &count) in names.iter().enumerate() {
                    let expected: f64 = (0..100)
                        .map(|step| {
                            let at = [
                                (tenth as f64 + (f64::from(step) + 0.5) / 100.0) / 10.0,
                                whole as f64 / 4.0 + 0.1,
                                name as f64,
                            ];
                            parzen.log_density(&at).exp() / 1000.0
                        })
                        .sum::<f64>()
                        * f64::from(DRAWS);
                    // Six standard deviations of a Poisson count, over 120 bins.
                    let tolerance = 6.0 * expected.sqrt() + 1.0;
                    assert!(
                        (f64::from(count) - expected).abs() < tolerance,
                        "{tenth} {whole} {name}: {count} {expected}"
                    );
                }
            }
        }
    }
}
