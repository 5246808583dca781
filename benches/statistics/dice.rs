//! Reproducible dice: SplitMix64, and the distributions that the simulation needs.

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    /// Dice with a seed of their own: neighbouring seeds give unrelated streams.
    pub fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0xD134_2543_DE82_EF95));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to 1, without both.
    pub fn share(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// How many of `n` come up with this chance, each on its own: jumps from one to the next.
    pub fn binomial(&mut self, n: u32, chance: f64) -> u32 {
        if chance <= 0.0 {
            return 0;
        }
        if chance >= 1.0 {
            return n;
        }
        if chance > 0.5 {
            return n - self.binomial(n, 1.0 - chance);
        }
        // `ln_1p`, because a chance below 1e-16 is nothing beside 1 and would never end.
        let scale = 1.0 / (-chance).ln_1p();
        let (mut at, mut hits) = (0.0_f64, 0);
        loop {
            at += (self.share().ln() * scale).floor() + 1.0;
            if at > f64::from(n) {
                return hits;
            }
            hits += 1;
        }
    }

    /// A standard normal number (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.share().ln()).sqrt() * (std::f64::consts::TAU * self.share()).cos()
    }

    /// Gamma with scale 1 (Marsaglia and Tsang; smaller shapes by a power of a uniform number).
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0) * self.share().powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.share().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        x / (x + y)
    }
}
