//! Which elements of two arrays belong together.

use super::json::{Doc, NodeId, NodeKind};
use std::collections::HashMap;

/// Members that identify an element, in the order in which they are tried.
const IDENTITY: [&str; 3] = ["id", "name", "key"];

/// Up to this many elements on both sides together, after equal ends are cut off, the shortest edit script is looked
/// for (Myers, whose work grows with elements times differences). Above it elements that occur once on either side
/// are the anchors (patience). A bound on size, not on time: the same pair gives the same diff on every machine.
const MYERS_ELEMENTS: usize = 4096;

/// One step through both arrays. Indexes count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The same place in the order, perhaps with differences inside.
    Both(usize, usize),
    /// Only in the old array.
    Old(usize),
    /// Only in the new array.
    New(usize),
    /// In both, at another place in the order: old index, new index. Stands at the new place.
    Moved(usize, usize),
}

/// How two arrays were brought together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alignment {
    /// In the order of the new array, what is gone at its old place.
    pub(super) steps: Vec<Step>,
    /// The member that identified the elements.
    pub(super) identity: Option<&'static str>,
}

/// Brings two arrays together: as sets if asked, by identity if all elements have one, else by the longest common
/// subsequence.
pub(super) fn align(old: &Doc<'_>, a: NodeId, new: &Doc<'_>, b: NodeId, as_sets: bool) -> Alignment {
    let (n, m) = (old.child_count(a), new.child_count(b));
    if let Some((identity, old_ids, new_ids)) = identities(old, a, new, b) {
        let mut names: HashMap<&str, u32> = HashMap::new();
        let mut number = |id| {
            let next = names.len() as u32;
            *names.entry(id).or_insert(next)
        };
        let old_classes: Vec<u32> = old_ids.into_iter().map(&mut number).collect();
        let new_classes: Vec<u32> = new_ids.into_iter().map(&mut number).collect();
        let kept = anchors(&old_classes, &new_classes);
        let steps = steps(&old_classes, &new_classes, &kept, !as_sets);
        return Alignment { steps, identity: Some(identity) };
    }
    let (old_classes, new_classes) = classes(old, a, new, b);
    if as_sets {
        return Alignment { steps: steps(&old_classes, &new_classes, &[], false), identity: None };
    }
    let kept = common_subsequence(&old_classes, &new_classes);
    let mut steps = steps(&old_classes, &new_classes, &kept, true);
    if n > 0 && m > 0 {
        pair_containers(&mut steps, old, a, new, b);
    }
    Alignment { steps, identity: None }
}

/// The identifying member of an array's elements, if all are objects that have it, each with another value.
pub(super) fn identity(doc: &Doc<'_>, array: NodeId) -> Option<&'static str> {
    IDENTITY.into_iter().find(|member| values(doc, array, member).is_some())
}

type Identities<'a> = (&'static str, Vec<&'a str>, Vec<&'a str>);

fn identities<'a>(old: &Doc<'a>, a: NodeId, new: &Doc<'a>, b: NodeId) -> Option<Identities<'a>> {
    IDENTITY.into_iter().find_map(|m| Some((m, values(old, a, m)?, values(new, b, m)?)))
}

fn values<'a>(doc: &Doc<'a>, array: NodeId, member: &str) -> Option<Vec<&'a str>> {
    let mut seen = std::collections::HashSet::new();
    let all: Option<Vec<&str>> = doc
        .children(array)
        .map(|e| {
            let id = doc.member(e, member)?;
            let scalar = matches!(doc.kind(id), NodeKind::String | NodeKind::Number);
            (scalar && seen.insert(doc.text(id))).then(|| doc.text(id))
        })
        .collect();
    all.filter(|ids| !ids.is_empty())
}

/// Equal elements get equal numbers. Fingerprints only narrow the search: sameness is always checked.
fn classes(old: &Doc<'_>, a: NodeId, new: &Doc<'_>, b: NodeId) -> (Vec<u32>, Vec<u32>) {
    let mut known: HashMap<u64, Vec<(bool, NodeId, u32)>> = HashMap::new();
    let mut next = 0;
    let mut class_of = |is_new: bool, id: NodeId| {
        let doc = if is_new { new } else { old };
        let bucket = known.entry(doc.fingerprint(id)).or_default();
        let found = bucket
            .iter()
            .find(|(other_new, other, _)| doc.same(id, if *other_new { new } else { old }, *other));
        if let Some((_, _, class)) = found {
            return *class;
        }
        next += 1;
        bucket.push((is_new, id, next));
        next
    };
    let olds = old.children(a).map(|id| class_of(false, id)).collect();
    let news = new.children(b).map(|id| class_of(true, id)).collect();
    (olds, news)
}

/// Pairs of equal elements, ascending on both sides.
fn common_subsequence(old: &[u32], new: &[u32]) -> Vec<(usize, usize)> {
    let head = old.iter().zip(new).take_while(|(x, y)| x == y).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(x, y)| x == y).count();
    let (x, y) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);
    let mut pairs: Vec<(usize, usize)> = (0..head).map(|i| (i, i)).collect();
    if x.len() + y.len() <= MYERS_ELEMENTS {
        for op in similar::capture_diff_slices(similar::Algorithm::Myers, x, y) {
            if let similar::DiffOp::Equal { old_index, new_index, len } = op {
                pairs.extend((0..len).map(|k| (head + old_index + k, head + new_index + k)));
            }
        }
    } else {
        pairs.extend(anchors(x, y).into_iter().map(|(i, j)| (head + i, head + j)));
    }
    pairs.extend((0..tail).map(|k| (old.len() - tail + k, new.len() - tail + k)));
    pairs
}

/// The longest ascending run of elements that occur once on either side.
fn anchors(old: &[u32], new: &[u32]) -> Vec<(usize, usize)> {
    let mut places: HashMap<u32, (Option<usize>, u32, u32)> = HashMap::new();
    for (i, class) in old.iter().enumerate() {
        let place = places.entry(*class).or_default();
        place.0 = Some(i);
        place.1 += 1;
    }
    for class in new {
        places.entry(*class).or_default().2 += 1;
    }
    let pairs: Vec<(usize, usize)> = new
        .iter()
        .enumerate()
        .filter_map(|(j, class)| match places.get(class) {
            Some((Some(i), 1, 1)) => Some((*i, j)),
            _ => None,
        })
        .collect();
    longest_ascending(&pairs)
}

/// Longest subsequence of pairs (ascending in the second) that ascends in the first: patience sorting.
fn longest_ascending(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (k, (i, _)) in pairs.iter().enumerate() {
        let at = ends.partition_point(|e| pairs[*e].0 < *i);
        before.push(at.checked_sub(1).map(|p| ends[p]));
        if at == ends.len() {
            ends.push(k);
        } else {
            ends[at] = k;
        }
    }
    let mut run = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(k) = at {
        run.push(pairs[k]);
        at = before[k];
    }
    run.reverse();
    run
}

/// Steps from the pairs that stay in order. What is left over on both sides with the same class has moved; without
/// `moves` its place does not matter.
fn steps(old: &[u32], new: &[u32], kept: &[(usize, usize)], moves: bool) -> Vec<Step> {
    let mut left_over: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut partner: Vec<Option<usize>> = vec![None; new.len()];
    let mut stays = vec![false; old.len()];
    for (i, j) in kept {
        partner[*j] = Some(*i);
        stays[*i] = true;
    }
    let mut taken = stays.clone();
    for (i, class) in old.iter().enumerate().rev().filter(|(i, _)| !stays[*i]) {
        left_over.entry(*class).or_default().push(i);
    }
    for (j, class) in new.iter().enumerate() {
        if partner[j].is_none()
            && let Some(i) = left_over.get_mut(class).and_then(Vec::pop)
        {
            partner[j] = Some(i);
            taken[i] = true;
        }
    }
    let mut out = Vec::with_capacity(old.len().max(new.len()));
    let mut i = 0;
    for (j, p) in partner.iter().enumerate() {
        let Some(p) = *p else {
            // What is gone from here stands before what came.
            gone(&mut out, &mut i, old.len(), &stays, &taken);
            out.push(Step::New(j));
            continue;
        };
        if stays[p] {
            while i < p {
                gone_one(&mut out, i, &taken);
                i += 1;
            }
            i = p + 1;
            out.push(Step::Both(p, j));
        } else {
            out.push(if moves { Step::Moved(p, j) } else { Step::Both(p, j) });
        }
    }
    for rest in i..old.len() {
        gone_one(&mut out, rest, &taken);
    }
    out
}

/// Old elements up to the next one that stays.
fn gone(out: &mut Vec<Step>, i: &mut usize, end: usize, stays: &[bool], taken: &[bool]) {
    while *i < end && !stays[*i] {
        gone_one(out, *i, taken);
        *i += 1;
    }
}

fn gone_one(out: &mut Vec<Step>, i: usize, taken: &[bool]) {
    if !taken[i] {
        out.push(Step::Old(i));
    }
}

/// In a gap between elements that stay, the first removed and the first added object (or array) are taken for one that
/// was edited. Scalars are not: `[viewer]` → `[admin]` is one role less and one more.
fn pair_containers(steps: &mut Vec<Step>, old: &Doc<'_>, a: NodeId, new: &Doc<'_>, b: NodeId) {
    let kind_old = |i| old.child(a, i).map(|e| old.kind(e));
    let kind_new = |j| new.child(b, j).map(|e| new.kind(e));
    let mut out: Vec<Step> = Vec::with_capacity(steps.len());
    // Places in `out` of removed containers of this gap that have no partner yet.
    let mut open: [std::collections::VecDeque<usize>; 2] = Default::default();
    let mut dropped = vec![false; steps.len()];
    for step in steps.drain(..) {
        let lane = |kind: Option<NodeKind>| match kind {
            Some(NodeKind::Object) => Some(0),
            Some(NodeKind::Array) => Some(1),
            _ => None,
        };
        let mut step = step;
        match step {
            Step::Both(..) => open.iter_mut().for_each(std::collections::VecDeque::clear),
            Step::Old(i) => {
                if let Some(lane) = lane(kind_old(i)) {
                    open[lane].push_back(out.len());
                }
            }
            Step::New(j) => {
                let waiting = lane(kind_new(j)).and_then(|lane| open[lane].pop_front());
                if let Some(place) = waiting
                    && let Step::Old(i) = out[place]
                {
                    dropped[place] = true;
                    step = Step::Both(i, j);
                    // Partners must ascend on both sides.
                    for queue in &mut open {
                        queue.retain(|p| *p > place);
                    }
                }
            }
            Step::Moved(..) => {}
        }
        out.push(step);
    }
    let mut keep = dropped.iter().map(|d| !d);
    out.retain(|_| keep.next().unwrap_or(true));
    *steps = out;
}

#[cfg(test)]
mod tests {
    use super::super::json::Limits;
    use super::*;
    use proptest::prelude::*;

    fn run(old: &str, new: &str, as_sets: bool) -> Alignment {
        let limits = Limits { bytes: 1 << 20, nodes: 100_000 };
        let (old, new) = (Doc::parse(old, limits).unwrap(), Doc::parse(new, limits).unwrap());
        align(&old, old.root(), &new, new.root(), as_sets)
    }

    #[test]
    fn scalars_by_common_subsequence() {
        use Step::{Both, Moved, New, Old};
        assert_eq!(run(r#"["v"]"#, r#"["v","a"]"#, false).steps, [Both(0, 0), New(1)]);
        assert_eq!(run(r#"["v"]"#, r#"["a"]"#, false).steps, [Old(0), New(0)]);
        assert_eq!(run("[1,2,3]", "[2,3,1]", false).steps, [Both(1, 0), Both(2, 1), Moved(0, 2)]);
        assert_eq!(run("[1,2,2]", "[2,1,2]", true).steps, [Both(1, 0), Both(0, 1), Both(2, 2)]);
    }

    #[test]
    fn objects_by_what_identifies_them() {
        use Step::{Both, Moved, New};
        let found = run(r#"[{"id":1,"r":1},{"id":2}]"#, r#"[{"id":3},{"id":2},{"id":1,"r":2}]"#, false);
        assert_eq!(found.identity, Some("id"));
        assert_eq!(found.steps, [New(0), Moved(1, 1), Both(0, 2)].map(|s| s));
        assert_eq!(run(r#"[{"id":1},{"id":1}]"#, r#"[{"id":1}]"#, false).identity, None);
        assert_eq!(
            run(r#"[{"id":1,"name":"a"},{"id":1,"name":"b"}]"#, r#"[{"name":"c"}]"#, false).identity,
            Some("name")
        );
    }

    #[test]
    fn edited_objects_in_a_gap_belong_together() {
        use Step::{Both, Old};
        assert_eq!(
            run(r#"[0,{"a":1},9]"#, r#"[0,{"a":2},9]"#, false).steps,
            [Both(0, 0), Both(1, 1), Both(2, 2)]
        );
        assert_eq!(run(r#"[{"a":1},[1]]"#, "[[2]]", false).steps, [Old(0), Both(1, 0)]);
    }

    proptest! {
        #[test]
        fn every_element_is_in_exactly_one_step_and_what_stays_ascends(
            old in prop::collection::vec(0u8..5, 0..12),
            new in prop::collection::vec(0u8..5, 0..12),
            containers in any::<bool>(),
        ) {
            let write = |v: &[u8]| {
                let wrap = |n: &u8| if containers && n.is_multiple_of(2) { format!("{{\"v\":{n}}}") } else { n.to_string() };
                format!("[{}]", v.iter().map(wrap).collect::<Vec<_>>().join(","))
            };
            let found = run(&write(&old), &write(&new), false);
            let mut olds = Vec::new();
            let mut news = Vec::new();
            let mut last = None;
            for step in &found.steps {
                match *step {
                    Step::Both(i, j) => {
                        prop_assert!(last < Some((i, j)) && last.is_none_or(|(x, y)| x < i && y < j));
                        last = Some((i, j));
                        olds.push(i);
                        news.push(j);
                    }
                    Step::Moved(i, j) => {
                        olds.push(i);
                        news.push(j);
                    }
                    Step::Old(i) => olds.push(i),
                    Step::New(j) => news.push(j),
                }
            }
            prop_assert!(news.is_sorted());
            olds.sort_unstable();
            prop_assert_eq!(olds, (0..old.len()).collect::<Vec<_>>());
            prop_assert_eq!(news, (0..new.len()).collect::<Vec<_>>());
        }
    }
}
