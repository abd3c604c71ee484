//! Which sequences share a place of a batch, so that batches have about as many tokens each.
//!
//! Nothing of one sequence reaches another: a batch is sequences one after the other, each with positions
//! and attention of its own, packed or not.

use std::collections::{BTreeMap, VecDeque};

/// Best-fit decreasing (TRL: `pack_dataset` with "bfd"): the longest first, each into the pack with the
/// least room that is enough, and of such packs into the one that has waited longest. None is larger than
/// `most`, unless one sequence alone is.
pub fn packed(lengths: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&sequence| std::cmp::Reverse(lengths[sequence]));
    let mut packs: Vec<Vec<usize>> = Vec::new();
    let mut by_room: BTreeMap<usize, VecDeque<usize>> = BTreeMap::new();
    for sequence in order {
        let length = lengths[sequence];
        let (pack, room) = match by_room.range(length.max(1)..).next().map(|(&room, _)| room) {
            Some(room) => {
                let waiting = by_room.get_mut(&room).expect("it was found");
                let pack = waiting.pop_front().expect("no room is kept without a pack");
                if waiting.is_empty() {
                    by_room.remove(&room);
                }
                (pack, room)
            }
            None => {
                packs.push(Vec::new());
                (packs.len() - 1, most)
            }
        };
        packs[pack].push(sequence);
        if room > length {
            by_room.entry(room - length).or_default().push_back(pack);
        }
    }
    packs
}

/// Each sequence by itself.
pub fn alone(n_sequences: usize) -> Vec<Vec<usize>> {
    (0..n_sequences).map(|sequence| vec![sequence]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_go_first_each_where_it_fits_best() {
        // trl.pack_dataset(Dataset.from_dict({"input_ids": [[0] * n for n in lengths]}), 10)
        assert_eq!(packed(&[5, 2, 3, 1, 9, 6], 10), [vec![4, 3], vec![5, 2], vec![0, 1]]);
        assert_eq!(packed(&[4, 4, 4, 4], 8), [[0, 1], [2, 3]]);
        assert_eq!(packed(&[12, 3], 8), [[0], [1]]);
        assert!(packed(&[], 8).is_empty());
        assert_eq!(alone(2), [[0], [1]]);
    }

    proptest! {
        #[test]
        fn every_sequence_is_in_one_pack_and_no_pack_is_too_large(
            lengths in prop::collection::vec(1usize..=64, 0..200),
        ) {
            let packs = packed(&lengths, 64);
            let tokens = |pack: &Vec<usize>| pack.iter().map(|&it| lengths[it]).sum::<usize>();
            prop_assert!(packs.iter().all(|pack| tokens(pack) <= 64 && !pack.is_empty()));
            let mut all = packs.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
