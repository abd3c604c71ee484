//! Which sequences of a batch go through attention together on a processor.

/// A group takes sequences that are shorter than its longest by this many tokens, or by a quarter:
/// attention costs so little beside the linear layers that few groups beat little filling.
const SHORTER_BY: i64 = 16;

/// The places of sequences of like lengths: each group in their order, the group with the longest
/// first.
pub fn like_lengths(lengths: &[i64]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&sequence| -lengths[sequence]);
    let fits = |longest: i64, other: i64| longest - other <= SHORTER_BY.max(longest / 4);
    let groups = order.chunk_by({
        let mut longest = 0;
        move |&left, &right| {
            longest = lengths[left].max(longest);
            let fits = fits(longest, lengths[right]);
            if !fits {
                longest = 0;
            }
            fits
        }
    });
    let in_order = |group: &[usize]| {
        let mut members = group.to_vec();
        members.sort_unstable();
        members
    };
    groups.map(in_order).collect()
}

#[cfg(test)]
mod tests {
    use super::like_lengths;

    #[test]
    fn what_is_of_similar_length_goes_together() {
        let groups = like_lengths(&[5, 200, 30, 190, 1, 100]);
        assert_eq!(groups, [vec![1, 3], vec![5], vec![2], vec![0, 4]]);
    }
}
