//! When work is done that several slots share out between them as if it could be cut at will.

/// The time at which `work` is done if every slot (free at, cost per second) works on it from when it is free.
///
/// The answer is where the slots' rates, each counted from its own start, add up to the work. Counting all slots gives
/// an answer that is late, because those free only after it count negatively; leaving these out and asking again comes
/// down to the true one in a few rounds. Infinite when no slot can ever take any.
pub(super) fn finish<I>(slots: I, work: f64) -> f64
where
    I: Iterator<Item = (f64, f64)> + Clone,
{
    let mut end = f64::INFINITY;
    loop {
        let (mut rates, mut offset) = (0.0, 0.0);
        for (free, rate) in slots.clone() {
            if free < end {
                rates += rate;
                offset += rate * free;
            }
        }
        if rates <= 0.0 {
            return end;
        }
        let next = (work + offset) / rates;
        // The last bits may go up and down for ever.
        if next >= end - 1e-9 * end.abs().min(1e9) {
            return next.min(end);
        }
        end = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_slots_share_equally() {
        assert!((finish([(0.0, 1.0), (0.0, 1.0)].into_iter(), 10.0) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn a_slot_that_is_free_too_late_takes_none() {
        assert!((finish([(0.0, 1.0), (100.0, 50.0)].into_iter(), 10.0) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn without_slots_it_is_never_done() {
        assert!(finish(std::iter::empty(), 1.0).is_infinite());
        assert!(finish([(f64::INFINITY, 1.0)].into_iter(), 1.0).is_infinite());
    }

    proptest! {
        #[test]
        fn the_shares_add_up_to_the_work(
            slots in prop::collection::vec((0.0..100.0f64, 0.01..50.0f64), 1..20), work in 0.01..1e4f64,
        ) {
            let end = finish(slots.iter().copied(), work);
            let shared: f64 = slots.iter().map(|(free, rate)| rate * (end - free).max(0.0)).sum();
            prop_assert!((shared - work).abs() < 1e-6 * work + 1e-6, "{shared} of {work}");
        }
    }
}
