//! Impairments of a wire.

use std::fmt;

use podwire_proto::v1::{self, impairment::LossModel};

use crate::domain::impairment::{
    Chance, DEFAULT_PACKETS, Distribution, Impairment, LEAST_RATE, Loss, MAX_DELAY, MAX_JITTER, Netem, Rate, Share,
};

use super::{findings::Findings, place::Place};

/// An impairment; absent or empty it is none.
pub(super) fn impairment(found: &mut Findings, at: Place<'_>, message: Option<v1::Impairment>) -> Option<Impairment> {
    let Some(message) = message else { return Some(Impairment::default()) };
    let rate = match &message.rate {
        Some(message) => rate(found, at.field("rate"), *message).map(Some),
        None => Some(None),
    };
    let netem = netem(found, at, &message);
    Some(Impairment { netem: netem?, rate: rate? })
}

#[allow(clippy::option_option, reason = "outside: whether it could be parsed; inside: whether it was there")]
fn netem(found: &mut Findings, at: Place<'_>, message: &v1::Impairment) -> Option<Option<Netem>> {
    let delay = nanoseconds(found, at.field("delay"), message.delay, MAX_DELAY);
    let jitter = nanoseconds(found, at.field("jitter"), message.jitter, MAX_JITTER);
    if let (Some(delay), Some(jitter)) = (delay, jitter)
        && jitter > delay
    {
        found.add(
            at.field("jitter"),
            format_args!("{jitter} ns is more than `delay`, {delay} ns: no frame arrives before it was sent"),
        );
    }
    let names = "DELAY_DISTRIBUTION_UNIFORM, DELAY_DISTRIBUTION_NORMAL, DELAY_DISTRIBUTION_PARETO and \
                 DELAY_DISTRIBUTION_PARETONORMAL";
    let distribution = found.choice(at.field("distribution"), message.distribution, names).map(|it| match it {
        v1::DelayDistribution::Unspecified => None,
        v1::DelayDistribution::Uniform => Some(Distribution::Uniform),
        v1::DelayDistribution::Normal => Some(Distribution::Normal),
        v1::DelayDistribution::Pareto => Some(Distribution::Pareto),
        v1::DelayDistribution::Paretonormal => Some(Distribution::ParetoNormal),
    });
    let delay_correlation = share(found, at.field("delay_correlation"), message.delay_correlation);
    needs(found, at.field("distribution"), distribution.flatten().is_some(), "jitter", jitter == Some(0));
    let correlated = delay_correlation.is_some_and(|share| share != Share::NONE);
    needs(found, at.field("delay_correlation"), correlated, "jitter", jitter == Some(0));
    let loss = loss(found, at, message);
    let [duplicate, corrupt, reorder] = [
        ("duplicate", message.duplicate, "duplicate_correlation", message.duplicate_correlation),
        ("corrupt", message.corrupt, "corrupt_correlation", message.corrupt_correlation),
        ("reorder", message.reorder, "reorder_correlation", message.reorder_correlation),
    ]
    .map(|(field, percent, of, correlation)| chance(found, (at.field(field), percent), (at.field(of), correlation)));
    let reorders = reorder.is_none_or(|reorder| !reorder.is_never());
    needs(found, at.field("reorder"), reorders && message.reorder != 0.0, "delay", delay == Some(0));
    needs(found, at.field("gap"), message.gap > 0, "reorder", !reorders);
    let netem = Netem {
        delay: delay?,
        jitter: jitter?,
        distribution: distribution?.unwrap_or_default(),
        delay_correlation: delay_correlation?,
        loss: loss?,
        duplicate: duplicate?,
        corrupt: corrupt?,
        reorder: reorder?,
        gap: if reorders { message.gap.max(1) } else { 0 },
        packets: DEFAULT_PACKETS,
    };
    let nothing = netem == Netem::default();
    if nothing && message.queue_packets > 0 {
        let problem = "there is nothing that frames would wait for: give `delay` or the like, or for a rate \
                       `rate.queue_bytes`";
        found.add(at.field("queue_packets"), problem);
    }
    let packets = if message.queue_packets == 0 { DEFAULT_PACKETS } else { message.queue_packets };
    Some((!nothing).then_some(Netem { packets, ..netem }))
}

fn loss(found: &mut Findings, at: Place<'_>, message: &v1::Impairment) -> Option<Loss> {
    let correlation = (at.field("loss_correlation"), message.loss_correlation);
    match message.loss_model {
        None => chance(found, (at.field("loss"), 0.0), correlation).map(Loss::Random),
        Some(LossModel::Loss(percent)) => chance(found, (at.field("loss"), percent), correlation).map(Loss::Random),
        Some(LossModel::GilbertElliott(message)) => {
            let at = at.field("gilbert_elliott");
            let [p, r, bad, good] = [
                ("p", message.p),
                ("r", message.r),
                ("one_minus_h", message.one_minus_h),
                ("one_minus_k", message.one_minus_k),
            ]
            .map(|(field, percent)| share(found, at.field(field), percent));
            if p == Some(Share::NONE) {
                let problem = "with 0 the bad state never comes: give more, or `loss` for losses at random";
                found.add(at.field("p"), problem);
            }
            if correlation.1 != 0.0 {
                found.add(correlation.0, "it is of `loss`; losses of `gilbert_elliott` follow from its own numbers");
            }
            Some(Loss::GilbertElliott { p: p?, r: r?, bad: bad?, good: good? })
        }
    }
}

fn chance(found: &mut Findings, of: (Place<'_>, f64), by: (Place<'_>, f64)) -> Option<Chance> {
    let (of, by) = (share(found, of.0, of.1).map(|share| (share, of.0)), share(found, by.0, by.1).map(|s| (s, by.0)));
    let ((share, _), (correlation, place)) = (of?, by?);
    if share == Share::NONE && correlation != Share::NONE {
        found.add(place, "there is nothing that could resemble what was before: give the share too");
    }
    Some(Chance { share, correlation })
}

fn rate(found: &mut Findings, at: Place<'_>, message: v1::Rate) -> Option<Rate> {
    let bytes_per_second = message.bits_per_second / 8;
    if bytes_per_second < LEAST_RATE {
        found.add(
            at.field("bits_per_second"),
            format_args!(
                "`{}` is too little, {} is the least: to let nothing pass pull the cable, `up: TOGGLE_OFF`",
                message.bits_per_second,
                LEAST_RATE * 8
            ),
        );
        return None;
    }
    let given = |bytes: u32| (bytes > 0).then_some(bytes);
    Some(Rate { bytes_per_second, burst: given(message.burst_bytes), queue: given(message.queue_bytes) })
}

fn nanoseconds(found: &mut Findings, at: Place<'_>, time: Option<prost_types::Duration>, most: u64) -> Option<u64> {
    let time = time.unwrap_or_default();
    let Ok(duration) = std::time::Duration::try_from(time) else {
        found.add(at, format_args!("{} s {} ns is not a time of 0 or more", time.seconds, time.nanos));
        return None;
    };
    let nanoseconds = u64::try_from(duration.as_nanos()).ok().filter(|time| *time <= most);
    if nanoseconds.is_none() {
        found.add(at, format_args!("{duration:?} is longer than the kernel can hold, {most} ns"));
    }
    nanoseconds
}

fn share(found: &mut Findings, at: Place<'_>, percent: f64) -> Option<Share> {
    Share::from_percent(percent).map_err(|error| found.add(at, error)).ok()
}

/// Complains of what makes no sense without something else.
fn needs(found: &mut Findings, at: Place<'_>, given: bool, other: impl fmt::Display, absent: bool) {
    if given && absent {
        found.add(at, format_args!("it says nothing without `{other}`: give that too, or leave this one out"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::impairment::MOST_RATE;
    use crate::{api::render::impairment as render, panel::ChangeError};
    use proptest::prelude::*;

    fn parse(message: v1::Impairment) -> Result<Impairment, Vec<String>> {
        let mut found = Findings::default();
        let it = impairment(&mut found, Place::MESSAGE.field("a_to_b"), Some(message));
        found.finish(it).map_err(|error| match error {
            ChangeError::Invalid(violations) => violations.into_iter().map(|it| it.field).collect(),
            error => panic!("{error}"),
        })
    }

    fn wrong(message: v1::Impairment) -> Vec<String> {
        parse(message).unwrap_err().iter().map(|path| path.trim_start_matches("a_to_b.").to_owned()).collect()
    }

    fn ms(milliseconds: i64) -> Option<prost_types::Duration> {
        // Negative ones too.
        let nanos = i32::try_from(milliseconds % 1000 * 1_000_000).ok()?;
        Some(prost_types::Duration { seconds: milliseconds / 1000, nanos })
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(parse(v1::Impairment::default()), Ok(Impairment::default()));
        let zero = v1::Impairment { loss_model: Some(LossModel::Loss(0.0)), delay: ms(0), ..Default::default() };
        assert_eq!(parse(zero), Ok(Impairment::default()));
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let message = v1::Impairment {
            delay: ms(-1),
            jitter: ms(3_000),
            distribution: 9,
            delay_correlation: -0.1,
            loss_model: Some(LossModel::Loss(100.1)),
            duplicate: f64::NAN,
            corrupt_correlation: 1.0,
            gap: 5,
            rate: Some(v1::Rate::default()),
            ..Default::default()
        };
        let paths = wrong(message);
        for path in [
            "delay",
            "jitter",
            "distribution",
            "delay_correlation",
            "loss",
            "duplicate",
            "corrupt_correlation",
            "gap",
            "rate.bits_per_second",
        ] {
            assert!(paths.contains(&path.to_owned()), "{path} in {paths:?}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let of = |message| wrong(message).join(" ");
        let normal = v1::DelayDistribution::Normal.into();
        assert_eq!(of(v1::Impairment { reorder: 25.0, ..Default::default() }), "reorder");
        assert_eq!(of(v1::Impairment { delay: ms(1), gap: 2, ..Default::default() }), "gap");
        assert_eq!(of(v1::Impairment { delay: ms(1), jitter: ms(2), ..Default::default() }), "jitter");
        assert_eq!(of(v1::Impairment { delay: ms(1), distribution: normal, ..Default::default() }), "distribution");
        assert_eq!(
            of(v1::Impairment { delay: ms(1), delay_correlation: 5.0, ..Default::default() }),
            "delay_correlation"
        );
        assert_eq!(of(v1::Impairment { delay: ms(274_878), ..Default::default() }), "delay");
        assert_eq!(of(v1::Impairment { queue_packets: 10, ..Default::default() }), "queue_packets");
        assert_eq!(of(v1::Impairment { loss_correlation: 10.0, ..Default::default() }), "loss_correlation");
        let chain = v1::GilbertElliott { p: 0.0, r: 50.0, one_minus_h: 100.0, one_minus_k: 101.0 };
        let loss_model = Some(LossModel::GilbertElliott(chain));
        let both = v1::Impairment { loss_model, loss_correlation: 1.0, ..Default::default() };
        assert_eq!(of(both), "gilbert_elliott.one_minus_k gilbert_elliott.p loss_correlation");
        let rate = Some(v1::Rate { bits_per_second: 999, ..Default::default() });
        assert_eq!(of(v1::Impairment { rate, ..Default::default() }), "rate.bits_per_second");
    }

    /// Few values, so that many are sound.
    /// Any numbers, most of them at an edge of what can be asked for.
    fn any_numbers() -> impl Strategy<Value = Impairment> {
        let share = || prop_oneof![3 => Just(Share::NONE), 1 => any::<u32>().prop_map(Share::from_raw)];
        let chance = move || (share(), share()).prop_map(|(share, correlation)| Chance { share, correlation });
        let chain = [share(), share(), share(), share()];
        let loss = prop_oneof![
            chance().prop_map(Loss::Random),
            chain.prop_map(|[p, r, bad, good]| Loss::GilbertElliott { p, r, bad, good })
        ];
        let time = |most: u64| prop_oneof![Just(0), Just(1), Just(most), Just(most + 1), any::<u64>()];
        let distribution = prop_oneof![2 => Just(Distribution::Uniform), 1 => Just(Distribution::Normal)];
        let counts = (0u32..3, prop_oneof![Just(0), Just(1), Just(DEFAULT_PACKETS)]);
        let netem =
            (time(MAX_DELAY), time(MAX_JITTER), distribution, share(), loss, [chance(), chance(), chance()], counts)
                .prop_map(
                    |(
                        delay,
                        jitter,
                        distribution,
                        delay_correlation,
                        loss,
                        [duplicate, corrupt, reorder],
                        (gap, packets),
                    )| {
                        Netem {
                            delay,
                            jitter,
                            distribution,
                            delay_correlation,
                            loss,
                            duplicate,
                            corrupt,
                            reorder,
                            gap,
                            packets,
                        }
                    },
                );
        let bytes = || prop::option::of(0u32..3);
        let rate =
            (prop_oneof![Just(LEAST_RATE), Just(LEAST_RATE - 1), Just(MOST_RATE), any::<u64>()], bytes(), bytes())
                .prop_map(|(bytes_per_second, burst, queue)| Rate { bytes_per_second, burst, queue });
        (prop::option::of(netem), prop::option::of(rate)).prop_map(|(netem, rate)| Impairment { netem, rate })
    }

    fn any_message() -> impl Strategy<Value = v1::Impairment> {
        let percent = || prop_oneof![Just(0.0), Just(100.0), 0.0..=100.0];
        let loss = prop_oneof![
            Just(None),
            percent().prop_map(|loss| Some(LossModel::Loss(loss))),
            [percent(), percent(), percent(), percent()].prop_map(|[p, r, one_minus_h, one_minus_k]| Some(
                LossModel::GilbertElliott(v1::GilbertElliott { p, r, one_minus_h, one_minus_k })
            )),
        ];
        let rate = prop::option::of((1000u64..1 << 40, 0u32..3, 0u32..3));
        let shares = [percent(), percent(), percent(), percent(), percent()];
        (loss, shares, 0i32..3, 0i32..3, 0i32..5, 0u32..2, 0u32..2, rate).prop_map(
            |(
                loss_model,
                [delay_correlation, duplicate, corrupt, reorder, twice],
                delay,
                jitter,
                it,
                gap,
                queue,
                rate,
            )| {
                let time = |nanos| Some(prost_types::Duration { seconds: 0, nanos });
                v1::Impairment {
                    delay: time(delay),
                    jitter: time(jitter),
                    distribution: it,
                    delay_correlation: if jitter > 0 { delay_correlation } else { 0.0 },
                    loss_model,
                    duplicate,
                    duplicate_correlation: if duplicate > 0.0 { twice } else { 0.0 },
                    corrupt,
                    reorder,
                    gap,
                    queue_packets: queue,
                    rate: rate.map(|(bits_per_second, burst_bytes, queue_bytes)| v1::Rate {
                        bits_per_second,
                        burst_bytes,
                        queue_bytes,
                    }),
                    ..Default::default()
                }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_rendered_parses_to_the_same(message in any_message()) {
            if let Ok(it) = parse(message) {
                prop_assert_eq!(parse(render(&it).unwrap_or_default()), Ok(it));
            }
        }

        #[test]
        fn sound_is_what_can_be_asked_for(it in any_numbers()) {
            let sound = it.netem.is_none_or(|netem| netem.is_sound()) && it.rate.is_none_or(|rate| rate.is_sound());
            prop_assert_eq!(parse(render(&it).unwrap_or_default()) == Ok(it), sound);
        }

        #[test]
        fn no_numbers_make_it_panic(seconds: i64, nanos: i32, percent: f64, gap: u32, bits: u64) {
            let time = Some(prost_types::Duration { seconds, nanos });
            let _ = parse(v1::Impairment {
                delay: time,
                jitter: time,
                reorder: percent,
                corrupt: percent,
                gap,
                rate: Some(v1::Rate { bits_per_second: bits, burst_bytes: gap, queue_bytes: gap }),
                ..Default::default()
            });
        }
    }
}
