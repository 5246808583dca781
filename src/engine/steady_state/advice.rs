//! What samples of an undisturbed app say about a policy's limits: noise, the evidence it makes, the limit and distance
//! of samples that fit it, and how fast an abort would then be.
//!
//! A limit fits when it is twice what the app may show by itself (the upper bound of its bad share) and when the
//! detector, run over the very samples that were taken, stayed below half of the evidence that an abort takes. Times to
//! detect come from the detector itself, over seeded noise: the same samples give the same numbers.

use super::Tick;
use super::detector::Detector;
use super::hard_line::{crosses, upper_bound};
use crate::model::experiment::{Hypothesis, ProbeSpec, Reading, Role, Sample, Share, Source};
use crate::model::rehearsal::{Delay, ProbeNoise, Timing};
use crate::model::verdict::Counts;
use crate::model::words::brief;
use std::time::Duration;

/// Limits that people can agree on.
const LADDER: [u32; 9] = [
    1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
];
/// Distances of samples that are advised, in milliseconds.
const INTERVALS: [u64; 8] = [250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];
/// Most requests a second that an advised distance may come to: a probe is not a load test.
const REQUESTS_PER_SECOND_MAX: f64 = 100.0;
/// Highest evidence that quiet may make under a limit that fits, in per cent.
const PEAK_MAX: u32 = 50;
/// A 99 % quantile of fewer requests would be their maximum.
const REQUESTS_FOR_P99: u64 = 1_000;
/// Most `requests` that a policy may write.
const REQUESTS_A_SAMPLE_MAX: u32 = 50;
/// Shares whose time to detect is told.
const SHARES: [f64; 4] = [0.02, 0.05, 0.2, 1.0];
/// Simulated runs for one time; odd, so that the median is one of them.
const RUNS: u64 = 101;
/// Clean samples before a step, and how long is waited for after it.
const CLEAN: u32 = 60;
const WAIT: Duration = Duration::from_secs(600);

/// What one probe saw, and what limit fits it.
pub fn noise(
    hypothesis: &Hypothesis,
    probe: &ProbeSpec,
    samples: &[Sample],
    armed: Duration,
    timing: &Timing,
) -> ProbeNoise {
    let mine: Vec<&Sample> = samples.iter().filter(|s| s.probe == probe.name).collect();
    let ticks: Vec<Tick> = mine.iter().filter_map(|s| Tick::of(s)).collect();
    let pool = Counts::of(&ticks);
    let upper = upper_bound(pool.bad, pool.observed, 0.05);
    // As the monitor shares out its chance of a false abort: a floor takes no evidence, so none is set aside for it.
    let abort_probes = hypothesis.abort_probes().filter(|p| !p.is_floor()).count().max(1);
    let floor = probe.is_floor();
    let every = probe.every.unwrap_or(hypothesis.interval);
    let peak_of = |ticks: &[Tick], limit: Share| {
        let mut detector = Detector::new(hypothesis.alpha, abort_probes, armed, every);
        ticks
            .iter()
            .map(|tick| {
                detector.take(tick.share(), limit);
                detector.percent()
            })
            .max()
            .unwrap_or(0)
    };
    let peak = |limit: Share| peak_of(&ticks, limit);
    let calm = |limit: Share| floor || peak(limit) <= PEAK_MAX;
    let fits = |limit: Share| limit < probe.hard && limit.as_f64() >= 2.0 * upper && calm(limit);
    let tightest = LADDER.map(Share).into_iter().find(|limit| fits(*limit));
    // What was seen would do, if only there were more of it.
    let few = pool
        .share()
        .is_some_and(|share| 4.0 * share < probe.hard.as_f64());
    let (advised, why) = match (pool.observed, tightest) {
        (0, _) => (None, "nothing was seen, so nothing can be advised".to_owned()),
        (_, None) if few => (
            None,
            format!(
                "{} of {} bad: too few to bear a limit below the hard line of {}; measure for longer",
                pool.bad, pool.observed, probe.hard
            ),
        ),
        (_, None) => (
            None,
            format!(
                "{} of {} bad: no limit is twice that; mend the service or the probe first",
                pool.bad, pool.observed
            ),
        ),
        (_, Some(_)) if fits(probe.max) => (
            Some(probe.max),
            format!("{} fits: it is at least twice what was seen", probe.max),
        ),
        (_, Some(limit)) if floor => (
            Some(limit),
            format!("{} can't be shown to hold, so that no run would begin", probe.max),
        ),
        (_, Some(limit)) => (
            Some(limit),
            format!(
                "{} would end runs for noise, or can't be shown to hold",
                probe.max
            ),
        ),
    };
    let p99_ms = p99(&mine, pool);
    let line = p99_ms.map(|p99| round_up(p99 + p99 / 2, 10));
    let (line_advised, line_why) = match (p99_ms, line) {
        (Some(p99), Some(line)) => {
            let ticks = with_line(&mine, line);
            let with = Counts::of(&ticks);
            let limit = advised.unwrap_or(probe.max);
            let borne = limit.as_f64() >= 2.0 * upper_bound(with.bad, with.observed, 0.05)
                && peak_of(&ticks, limit) <= PEAK_MAX;
            match line_refused(probe, p99, line, timing) {
                Some(why) => (None, why),
                None if !borne => (
                    None,
                    format!(
                        "not advised: with it at least {} of {} would have been bad, too many for a limit of {limit}",
                        with.bad, with.observed
                    ),
                ),
                None => (Some(line), String::new()),
            }
        }
        _ => (None, no_line(probe, &ticks, mine.len(), every)),
    };
    let n = mean_observed(&ticks);
    let share = pool.share();
    let delays = |limit: Share, interval: Duration| {
        let detector = Detector::new(hypothesis.alpha, abort_probes, armed, interval);
        SHARES.map(|after| {
            let before = share.unwrap_or(0.0);
            let seconds = match floor {
                // Every task is counted: the first sample beyond the hard line decides, and no other does.
                true => (after > probe.hard.as_f64()).then_some(interval.as_secs_f64()),
                false => time_to_detect(n, before, after, limit, probe.hard, detector, interval),
            };
            Delay {
                share: after,
                seconds,
            }
        })
    };
    ProbeNoise {
        probe: probe.name.clone(),
        role: probe.role,
        samples: u32::try_from(ticks.len()).unwrap_or(u32::MAX),
        blind: u32::try_from(mine.len() - ticks.len()).unwrap_or(u32::MAX),
        observed: pool.observed,
        bad: pool.bad,
        share,
        upper,
        worst: ticks.iter().map(|t| t.share()).fold(0.0, f64::max),
        spread: spread(&ticks, pool),
        evidence_peak: (!floor).then(|| peak(probe.max)),
        evidence_why: match floor {
            true => format!(
                "Marathon repeats what it last heard of health, so nothing adds up; a run ends at the first sample \
                 with more than {} of the tasks not serving, and at no smaller share",
                probe.hard
            ),
            false => String::new(),
        },
        p99_ms,
        limit: probe.max,
        limit_advised: advised,
        limit_tightest: tightest,
        limit_why: why,
        slower_than_ms: line,
        slower_than_advised_ms: line_advised,
        slower_than_why: line_why,
        delays: delays(probe.max, every).to_vec(),
        delays_advised: advised
            .map(|limit| {
                let advised = Duration::from_millis(timing.interval_advised_ms);
                delays(limit, probe.every.unwrap_or(advised)).to_vec()
            })
            .unwrap_or_default(),
    }
}

/// Why nothing can be said of a line for slow answers, and what would mend that; nothing for probes that can't have one.
fn no_line(probe: &ProbeSpec, ticks: &[Tick], samples: usize, every: Duration) -> String {
    let Source::Http(http) = &probe.source else {
        return String::new();
    };
    let observed: u64 = ticks.iter().map(|tick| u64::from(tick.observed)).sum();
    if observed == 0 {
        return "nothing was seen".to_owned();
    }
    if observed >= REQUESTS_FOR_P99 {
        return "no sample told how long its requests took".to_owned();
    }
    let lasts = every * u32::try_from(samples).unwrap_or(u32::MAX);
    let enough = lasts.as_secs_f64() * REQUESTS_FOR_P99 as f64 / observed as f64;
    let minutes = (enough / 60.0).ceil().max(1.0);
    let longer = brief(Duration::from_secs_f64((minutes * 60.0).min(1e9)));
    let times = u32::try_from(REQUESTS_FOR_P99.div_ceil(observed)).unwrap_or(u32::MAX);
    let more = match http.requests.max(1).saturating_mul(times) {
        more @ ..=REQUESTS_A_SAMPLE_MAX => format!(", or ask more in each sample (`requests: {more}`)"),
        _ => String::new(),
    };
    format!(
        "{observed} requests were seen, and the slowest hundredth needs {REQUESTS_FOR_P99}: measure for longer \
         (`--for {longer}`){more}"
    )
}

/// Why a line for slow answers is not for this probe, whatever was measured.
fn line_refused(probe: &ProbeSpec, p99: u32, line: u32, timing: &Timing) -> Option<String> {
    let Source::Http(http) = &probe.source else {
        return Some("only a probe that asks `http` can have it".into());
    };
    if http.slower_than_baseline_percent.is_some() {
        return Some("not needed: the probe follows the baseline by itself".into());
    }
    if let Some(now) = http.slower_than.filter(|now| millis(*now) >= u64::from(p99)) {
        return Some(format!("the {} of the policy fit", brief(now)));
    }
    (u64::from(line) >= timing.timeout_advised_ms).then(|| {
        format!(
            "not advised: an answer that takes longer than the timeout of {} ms is bad anyway",
            timing.timeout_advised_ms
        )
    })
}

/// What would have been seen with a line for slow answers, as far as the slowest of each sample tells: at least
/// one more was bad wherever that one was beyond the line.
fn with_line(samples: &[&Sample], line: u32) -> Vec<Tick> {
    samples
        .iter()
        .filter_map(|sample| {
            let tick = Tick::of(sample)?;
            let slow = slowest_ms(sample).is_some_and(|ms| ms > line);
            Some(Tick {
                bad: (tick.bad + u32::from(slow)).min(tick.observed),
                ..tick
            })
        })
        .collect()
}

/// The distance of samples and the timeout that fit how fast the probes were answered.
///
/// A shorter distance is the lever for speed: the same guarantee at four samples a second is four times as fast.
pub fn timing(hypothesis: &Hypothesis, samples: &[Sample]) -> Timing {
    let (interval, timeout) = (millis(hypothesis.interval), millis(hypothesis.timeout));
    let keep = |why: String| Timing {
        interval_ms: interval,
        timeout_ms: timeout,
        interval_advised_ms: interval,
        timeout_advised_ms: timeout,
        why,
    };
    let asked = |probe: &&ProbeSpec| probe.role != Role::Observe;
    if let Some(slow) = hypothesis
        .probes
        .iter()
        .filter(asked)
        .find(|p| p.every.is_some() || !matches!(p.source, Source::Http(_) | Source::Tcp { .. }))
    {
        let kind = slow.source.kind();
        return keep(format!(
            "kept: probe {} asks {kind}, which has a pace of its own",
            slow.name
        ));
    }
    let blind = samples.iter().filter(|s| Tick::of(s).is_none()).count();
    if samples.is_empty() || blind * 100 > samples.len() {
        return keep(format!("kept: {blind} of {} samples saw nothing", samples.len()));
    }
    let mut slowest: Vec<u64> = samples.iter().filter_map(slowest_ms).map(u64::from).collect();
    slowest.sort_unstable();
    let Some(answered) = slowest.get((slowest.len() * 99).div_ceil(100).saturating_sub(1)) else {
        return keep("kept: no probe takes the time of its requests".to_owned());
    };
    // Twice as long as the slowest hundredth, so that only what is really slow is cut off.
    let patience = round_up(u32::try_from(answered * 2).unwrap_or(u32::MAX), 50).max(100);
    let requests: u32 = hypothesis
        .probes
        .iter()
        .map(|probe| match &probe.source {
            Source::Http(http) => http.requests,
            _ => 1,
        })
        .sum();
    let fits = |every: u64| {
        u64::from(patience) * 5 <= every * 4
            && f64::from(requests) * 1_000.0 / every as f64 <= REQUESTS_PER_SECOND_MAX
    };
    let Some(every) = INTERVALS.into_iter().find(|every| fits(*every)) else {
        return keep(format!("kept: answers take up to {answered} ms"));
    };
    if every >= interval {
        return keep(format!(
            "kept: answers take up to {answered} ms at {requests} requests a sample"
        ));
    }
    Timing {
        interval_ms: interval,
        timeout_ms: timeout,
        interval_advised_ms: every,
        timeout_advised_ms: u64::from(patience),
        why: format!(
            "answers take up to {answered} ms, so that a sample every {every} ms ({:.0} requests a second) is borne",
            f64::from(requests) * 1_000.0 / every as f64
        ),
    }
}

/// Median seconds until the detector or the hard line fires after a step of the bad share.
fn time_to_detect(
    n: u32,
    before: f64,
    after: f64,
    limit: Share,
    hard: Share,
    detector: Detector,
    interval: Duration,
) -> Option<f64> {
    if after <= limit.as_f64() {
        return None;
    }
    let every = interval.as_secs_f64().max(1e-3);
    let most = (WAIT.as_secs_f64() / every).ceil() as u32;
    let mut all: Vec<u32> = (0..RUNS)
        .map(|seed| {
            let (mut dice, mut detector) = (Dice(seed), detector);
            for _ in 0..CLEAN {
                let share = f64::from(dice.binomial(n, before)) / f64::from(n);
                detector.take(share, limit);
            }
            let fired = (1..=most).find(|_| {
                let bad = dice.binomial(n, after);
                detector.take(f64::from(bad) / f64::from(n), limit);
                detector.fires() || (bad * 2 > n && crosses(n, bad, hard))
            });
            fired.unwrap_or(u32::MAX)
        })
        .collect();
    all.sort_unstable();
    let median = all[all.len() / 2];
    (median != u32::MAX).then(|| (f64::from(median) * every * 100.0).round() / 100.0)
}

/// The 99 % quantile of one request from the slowest of each sample: the slowest of n is below x with chance F(x)ⁿ, so
/// that F(x) is 0.99 where the slowest is below x with chance 0.99ⁿ. Takes the requests of a sample as independent.
fn p99(samples: &[&Sample], pool: Counts) -> Option<u32> {
    let mut slowest: Vec<u32> = samples.iter().filter_map(|s| slowest_ms(s)).collect();
    if pool.observed < REQUESTS_FOR_P99 || slowest.is_empty() {
        return None;
    }
    slowest.sort_unstable();
    let n = pool.observed as f64 / slowest.len() as f64;
    let at = (slowest.len() as f64 * 0.99_f64.powf(n)).ceil() as usize;
    slowest.get(at.clamp(1, slowest.len()) - 1).copied()
}

fn slowest_ms(sample: &Sample) -> Option<u32> {
    match sample.reading {
        Reading::Seen { slowest_ms, .. } => slowest_ms,
        Reading::Blind { .. } => None,
    }
}

/// Variance of the counts over that of independent requests; `None` where nothing was bad.
fn spread(ticks: &[Tick], pool: Counts) -> Option<f64> {
    let p = pool.share().filter(|p| *p > 0.0 && *p < 1.0)?;
    let squares: f64 = ticks
        .iter()
        .map(|tick| {
            let n = f64::from(tick.observed);
            (f64::from(tick.bad) - n * p).powi(2) / (n * p * (1.0 - p))
        })
        .sum();
    (ticks.len() > 1).then(|| squares / (ticks.len() - 1) as f64)
}

fn mean_observed(ticks: &[Tick]) -> u32 {
    let all: u64 = ticks.iter().map(|tick| u64::from(tick.observed)).sum();
    let mean = all.checked_div(ticks.len() as u64).unwrap_or(1);
    u32::try_from(mean).unwrap_or(u32::MAX).max(1)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn round_up(number: u32, to: u32) -> u32 {
    number.div_ceil(to).saturating_mul(to)
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// How many of `n` come up: jumps from one to the next, so that many requests cost no more than few.
    fn binomial(&mut self, n: u32, chance: f64) -> u32 {
        if chance <= 0.0 {
            return 0;
        }
        if chance > 0.5 {
            return n - self.binomial(n, 1.0 - chance);
        }
        let scale = 1.0 / (1.0 - chance).ln();
        let (mut at, mut hits) = (0.0_f64, 0);
        loop {
            at += (self.share().ln() * scale).floor() + 1.0;
            if at > f64::from(n) {
                return hits;
            }
            hits += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::steady_state::testing::{blind, hypothesis, seen};

    const TEN_MINUTES: Duration = Duration::from_secs(600);

    fn timed(seconds: f64, bad: u32, observed: u32, slowest: u32) -> Sample {
        let mut sample = seen("edge", seconds, bad, observed);
        if let Reading::Seen { slowest_ms, .. } = &mut sample.reading {
            *slowest_ms = Some(slowest);
        }
        sample
    }

    fn look(samples: &[Sample]) -> (ProbeNoise, Timing) {
        let hypothesis = hypothesis();
        let timing = timing(&hypothesis, samples);
        let noise = noise(&hypothesis, &hypothesis.probes[0], samples, TEN_MINUTES, &timing);
        (noise, timing)
    }

    /// Ten minutes at 100 requests a second, of which `bad` in every so many seconds.
    fn quiet(bad: u32, every: u32) -> Vec<Sample> {
        (0..600)
            .map(|n| {
                timed(
                    f64::from(n),
                    if n % every == 0 { bad } else { 0 },
                    100,
                    20 + n % 10,
                )
            })
            .collect()
    }

    #[test]
    fn a_quiet_app_keeps_its_limit_and_learns_how_fast_an_abort_is() {
        let (noise, _) = look(&quiet(1, 10));
        assert_eq!((noise.observed, noise.bad, noise.blind), (60_000, 60, 0));
        assert_eq!(noise.limit_advised, Some(Share::percent(1)));
        assert_eq!(noise.limit_tightest, Some(Share(5_000)), "{noise:?}");
        assert!(
            noise.evidence_peak.unwrap() < 50 && noise.upper < 0.0013,
            "{noise:?}"
        );
        // The published medians of the default: 32, 9, 5 and 1 seconds.
        let seconds: Vec<f64> = noise.delays.iter().map(|d| d.seconds.unwrap()).collect();
        for (ours, published) in seconds.iter().zip([32.0, 9.0, 5.0, 1.0]) {
            assert!((ours - published).abs() <= 0.2 * published, "{seconds:?}");
        }
    }

    #[test]
    fn a_noisy_app_gets_a_limit_that_its_noise_does_not_reach() {
        let (noise, _) = look(&quiet(3, 1));
        assert_eq!(noise.evidence_peak, Some(100), "1 % would end a run for nothing");
        assert_eq!(noise.limit_advised, Some(Share::percent(10)), "{noise:?}");
        assert!(noise.limit_why.contains("would end runs for noise"));
        assert_eq!(noise.delays_advised[1].seconds, None, "5 % is inside of it");
        assert!(noise.delays_advised[2].seconds.is_some());
        let (broken, _) = look(&quiet(60, 1));
        assert_eq!(broken.limit_advised, None);
        assert!(
            broken.limit_why.contains("mend the service"),
            "{}",
            broken.limit_why
        );
    }

    #[test]
    fn bursts_show_as_spread_and_independent_failures_do_not() {
        let (bursts, _) = look(&quiet(20, 100));
        assert!(bursts.spread.unwrap() > 10.0, "{bursts:?}");
        let mut dice = Dice(1);
        let fair: Vec<Sample> = (0..600)
            .map(|n| seen("edge", f64::from(n), dice.binomial(100, 0.01), 100))
            .collect();
        let spread = look(&fair).0.spread.unwrap();
        assert!((0.7..1.3).contains(&spread), "{spread}");
        assert_eq!(look(&quiet(0, 1)).0.spread, None);
    }

    #[test]
    fn a_probe_that_saw_nothing_or_little_advises_nothing() {
        let (noise, timing) = look(&[blind("edge", 0.0), blind("edge", 1.0)]);
        assert_eq!((noise.blind, noise.limit_advised, noise.p99_ms), (2, None, None));
        assert!(noise.limit_why.contains("nothing was seen"));
        assert_eq!(timing.interval_advised_ms, timing.interval_ms);
        let (few, _) = look(&[timed(0.0, 0, 100, 20)]);
        // 100 clean requests show no more than 3 %.
        assert_eq!(few.limit_advised, Some(Share::percent(10)), "{few:?}");
        assert_eq!(few.p99_ms, None);
        // A limit at the hard line, where the policy would be refused, is none.
        let (fewer, _) = look(&[timed(0.0, 0, 12, 20)]);
        assert_eq!(fewer.limit_advised, None, "{fewer:?}");
        assert!(
            fewer.limit_why.contains("measure for longer"),
            "{}",
            fewer.limit_why
        );
    }

    #[test]
    fn the_slowest_of_each_sample_gives_the_slowest_hundredth_of_all() {
        // Requests take 1 to 100 ms, each as often as the others: one in a hundred takes 100 ms.
        let mut dice = Dice(3);
        let samples: Vec<Sample> = (0..2_000)
            .map(|n| {
                let slowest = (0..5).map(|_| 1 + (dice.share() * 100.0) as u32).max().unwrap();
                timed(f64::from(n), 0, 5, slowest)
            })
            .collect();
        let p99 = look(&samples).0.p99_ms.unwrap();
        assert!((98..=100).contains(&p99), "{p99}");
        assert_eq!(look(&samples).0.slower_than_ms, Some(round_up(p99 + p99 / 2, 10)));
    }

    #[test]
    fn a_line_for_slow_answers_is_advised_where_the_limit_bears_it_and_the_policy_has_none_that_fits() {
        let told = |samples: &[Sample], change: &dyn Fn(&mut Hypothesis)| {
            let mut hypothesis = hypothesis();
            change(&mut hypothesis);
            let timing = timing(&hypothesis, samples);
            let noise = noise(&hypothesis, &hypothesis.probes[0], samples, TEN_MINUTES, &timing);
            (
                noise.slower_than_ms,
                noise.slower_than_advised_ms,
                noise.slower_than_why,
            )
        };
        let http = |hypothesis: &mut Hypothesis, slower_than, slower_than_baseline_percent| {
            hypothesis.probes[0].source = Source::Http(crate::model::experiment::Http {
                url: "http://cart.example/".into(),
                requests: 100,
                slower_than,
                slower_than_baseline_percent,
                ..Default::default()
            });
        };
        let calm = quiet(0, 1);
        let (line, advised, why) = told(&calm, &|_| {});
        assert!(
            line.is_some() && advised == line && why.is_empty(),
            "{line:?} {why}"
        );
        let tight = |h: &mut Hypothesis| h.probes[0].max = Share(1_000);
        let spiky: Vec<Sample> = (0..600)
            .map(|n| timed(f64::from(n), 0, 100, if n % 4 == 0 { 200 } else { 20 }))
            .collect();
        let (_, advised, why) = told(&spiky, &tight);
        assert!(
            advised.is_none() && why.contains("too many for a limit of 0.1 %"),
            "{why}"
        );
        let (_, advised, why) = told(&calm, &|h| h.timeout = Duration::from_millis(30));
        assert!(advised.is_none() && why.contains("the timeout of 30 ms"), "{why}");
        let fits = told(&calm, &|h| http(h, Some(Duration::from_millis(300)), None));
        assert_eq!((fits.1, fits.2.as_str()), (None, "the 300ms of the policy fit"));
        let follows = told(&calm, &|h| http(h, None, Some(150)));
        assert!(
            follows.1.is_none() && follows.2.contains("follows the baseline"),
            "{follows:?}"
        );
        let other = told(&calm, &|h| h.probes[0].source = Source::Marathon);
        assert!(other.1.is_none() && other.2.contains("asks `http`"), "{other:?}");
    }

    #[test]
    fn too_few_requests_for_a_line_say_how_many_are_needed_and_how_to_get_them() {
        let mut hypothesis = hypothesis();
        let mut told = |requests: u32, seconds: u32| {
            hypothesis.probes[0].source = Source::Http(crate::model::experiment::Http {
                url: "http://cart.example/".into(),
                requests,
                ..Default::default()
            });
            let samples: Vec<Sample> = (0..seconds)
                .map(|n| timed(f64::from(n), 0, requests, 20))
                .collect();
            let timing = timing(&hypothesis, &samples);
            let noise = noise(&hypothesis, &hypothesis.probes[0], &samples, TEN_MINUTES, &timing);
            (noise.slower_than_ms, noise.slower_than_why)
        };
        let (line, why) = told(1, 600);
        assert_eq!(line, None);
        assert_eq!(
            why,
            "600 requests were seen, and the slowest hundredth needs 1000: measure for longer (`--for 17m`), or ask \
             more in each sample (`requests: 2`)"
        );
        // What no policy may write is not advised.
        let (_, why) = told(1, 10);
        assert!(why.ends_with("(`--for 17m`)"), "{why}");
        let (_, why) = told(2, 0);
        assert_eq!(why, "nothing was seen");
        assert!(told(2, 600).0.is_some());
    }

    #[test]
    fn a_marathon_probe_is_a_floor_that_gathers_no_evidence_and_ends_a_run_at_its_hard_line_alone() {
        let mut hypothesis = hypothesis();
        let mut tasks = hypothesis.probes[0].clone();
        (tasks.name, tasks.source) = ("tasks".into(), Source::Marathon);
        (tasks.max, tasks.hard) = (Share::percent(20), Share::percent(50));
        hypothesis.probes.push(tasks);
        // One of twelve is away in every twentieth sample.
        let samples: Vec<Sample> = (0..600)
            .flat_map(|n| {
                let away = u32::from(n % 20 == 0);
                [
                    timed(f64::from(n), 0, 100, 20),
                    seen("tasks", f64::from(n), away, 12),
                ]
            })
            .collect();
        let timing = timing(&hypothesis, &samples);
        let ask = |hypothesis: &Hypothesis, probe: usize| {
            noise(
                hypothesis,
                &hypothesis.probes[probe],
                &samples,
                TEN_MINUTES,
                &timing,
            )
        };
        let floor = ask(&hypothesis, 1);
        assert_eq!(floor.evidence_peak, None);
        assert!(
            floor.evidence_why.contains("more than 50 % of the tasks"),
            "{}",
            floor.evidence_why
        );
        let seconds: Vec<_> = floor.delays.iter().map(|delay| delay.seconds).collect();
        assert_eq!(seconds, [None, None, None, Some(1.0)]);
        assert_eq!(floor.limit_advised, Some(Share::percent(20)));
        // Nor does it raise what an abort takes through the other probe.
        let beside = ask(&hypothesis, 0);
        hypothesis.probes.pop();
        assert_eq!(beside, ask(&hypothesis, 0));
    }

    #[test]
    fn fast_answers_allow_more_samples_but_not_a_load_test() {
        let mut hypothesis = hypothesis();
        let fast: Vec<Sample> = (0..100).map(|n| timed(f64::from(n), 0, 5, 20)).collect();
        let ask = |hypothesis: &Hypothesis, samples: &[Sample]| {
            let timing = timing(hypothesis, samples);
            (timing.interval_advised_ms, timing.timeout_advised_ms)
        };
        // A hundred requests a sample are a hundred a second already.
        assert_eq!(ask(&hypothesis, &fast), (1_000, 800));
        hypothesis.probes[0].source = Source::Http(crate::model::experiment::Http {
            url: "http://cart.example/".into(),
            requests: 5,
            ..Default::default()
        });
        assert_eq!(ask(&hypothesis, &fast), (250, 100));
        let slow: Vec<Sample> = (0..100).map(|n| timed(f64::from(n), 0, 5, 300)).collect();
        assert_eq!(ask(&hypothesis, &slow), (1_000, 800));
        hypothesis.probes[0].source = Source::Marathon;
        assert_eq!(ask(&hypothesis, &fast), (1_000, 800));
    }
}
