//! The structural comparison: two documents become a tree of pairs, the pairs become changes.

use super::align::{self, Step};
use super::inside::{self, InnerChange};
use super::json::{Doc, NodeId, NodeKind};
use super::label::{Label, LabelStep};
use super::rules::{Judge, Rank, Rules};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// What happened to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// Another value of the same type.
    Changed,
    /// A value of another type.
    TypeChanged,
    /// The same value (or, in an array, the same element) at another place.
    Moved,
}

impl ChangeKind {
    /// The name in JSON output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::TypeChanged => "type_changed",
            Self::Moved => "moved",
        }
    }

    /// The gutter mark.
    pub const fn mark(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
            Self::TypeChanged => '!',
            Self::Moved => '>',
        }
    }
}

/// One difference. Its meaning does not depend on the other changes of the list or their order: the path of a removed
/// value is a place in the old document, every other path is a place in the new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// JSON Pointer (RFC 6901); empty for the whole document.
    pub path: String,
    /// The place in the old document, where it is another one.
    pub from: Option<String>,
    /// What happened.
    pub kind: ChangeKind,
    /// The value before, exactly as stored.
    pub old: Option<&'a str>,
    /// The value after, exactly as stored.
    pub new: Option<&'a str>,
    /// How much it matters.
    pub rank: Rank,
    /// Whether a rule says that the value itself is a secret.
    pub secret: bool,
    /// What differs inside, where both values are strings that hold JSON.
    pub inside: Option<Vec<InnerChange>>,
    /// The path for people: `bindings[id=rb-7].role`.
    pub label: Label,
    pub(super) old_node: Option<NodeId>,
    pub(super) new_node: Option<NodeId>,
}

/// How two values relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Same,
    Added,
    Removed,
    Changed,
    TypeChanged,
    /// Containers of one kind with differences inside.
    Inside,
    /// Gone from here, and found again elsewhere.
    MovedOut,
}

/// Two values that belong together, or one that has no partner.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) relation: Relation,
    pub(super) old: Option<NodeId>,
    pub(super) new: Option<NodeId>,
    /// The value stands here, but stood elsewhere.
    pub(super) moved: bool,
    children: Range<u32>,
}

/// Both documents and how they relate.
#[derive(Debug, Clone)]
pub struct Structure<'a> {
    /// The old document.
    pub old: Doc<'a>,
    /// The new document.
    pub new: Doc<'a>,
    /// Arrays were compared as sets: order was forgotten, and neither `apply` nor a patch is possible.
    pub as_sets: bool,
    pairs: Vec<Pair>,
    pub(super) root: Pair,
    /// What identifies the elements of an array: by the array's node in the new and in the old document.
    identities: [BTreeMap<NodeId, &'static str>; 2],
}

/// The caller asked to stop, or the time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// A value must be this long in JSON to be recognised as moved to another container: short ones are alike by accident.
const MOVED_BYTES: usize = 16;

impl<'a> Structure<'a> {
    /// Compares two documents. `stop` is asked now and then.
    ///
    /// # Errors
    /// When `stop` said so.
    pub fn new(old: Doc<'a>, new: Doc<'a>, as_sets: bool, stop: &dyn Fn() -> bool) -> Result<Self, Stopped> {
        let mut comparer = Comparer {
            old: &old,
            new: &new,
            as_sets,
            stop,
            steps: 0,
            pairs: Vec::new(),
            identities: Default::default(),
        };
        let root = comparer.pair(old.root(), new.root())?;
        let Comparer { mut pairs, identities, .. } = comparer;
        find_moves(&mut pairs, &old, &new);
        Ok(Self { old, new, as_sets, pairs, root, identities })
    }

    pub(super) fn children(&self, pair: &Pair) -> &[Pair] {
        self.pairs.get(pair.children.start as usize..pair.children.end as usize).unwrap_or_default()
    }

    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.root.relation == Relation::Same
    }

    /// The differences in the order of the document. `stop` is asked now and then.
    ///
    /// # Errors
    /// When `stop` said so.
    pub fn changes(&self, rules: &Rules, stop: &dyn Fn() -> bool) -> Result<Vec<Change<'a>>, Stopped> {
        let mut out = Vec::new();
        self.collect(&self.root, &mut Judge::new(rules), stop, &mut out)?;
        Ok(out)
    }

    fn collect(
        &self,
        pair: &Pair,
        judge: &mut Judge<'_>,
        stop: &dyn Fn() -> bool,
        out: &mut Vec<Change<'a>>,
    ) -> Result<(), Stopped> {
        let kind = match pair.relation {
            Relation::Same | Relation::Inside if pair.moved => Some(ChangeKind::Moved),
            // A scalar cannot be another value and still be known as the same element.
            Relation::Same | Relation::Inside | Relation::MovedOut => None,
            Relation::Added => Some(ChangeKind::Added),
            Relation::Removed => Some(ChangeKind::Removed),
            Relation::Changed => Some(ChangeKind::Changed),
            Relation::TypeChanged => Some(ChangeKind::TypeChanged),
        };
        if let Some(kind) = kind {
            out.push(self.change(kind, pair, judge, stop));
            if out.len().is_multiple_of(256) && stop() {
                return Err(Stopped);
            }
        }
        if pair.relation == Relation::Inside {
            for child in self.children(pair) {
                self.collect(child, judge, stop, out)?;
            }
        }
        Ok(())
    }

    fn change(
        &self,
        kind: ChangeKind,
        pair: &Pair,
        judge: &mut Judge<'_>,
        stop: &dyn Fn() -> bool,
    ) -> Change<'a> {
        let old_path = pair.old.map(|id| self.old.pointer(id));
        let new_path = pair.new.map(|id| self.new.pointer(id));
        let path = new_path.or_else(|| old_path.clone()).unwrap_or_default();
        let from = old_path.filter(|p| *p != path);
        let label = self.label(pair);
        let old = pair.old.map(|id| self.old.text(id));
        let new = pair.new.map(|id| self.new.text(id));
        let (mut rank, secret) = judge.judge(&label, &path, [old, new]);
        let inside = match (kind, old, new) {
            (ChangeKind::Changed, Some(old), Some(new)) => inside::changes(old, new, judge.rules, stop),
            _ => None,
        };
        if rank != Rank::Noise
            && let Some(inner) = inside.iter().flatten().map(|change| change.rank).min()
        {
            rank = rank.min(inner);
        }
        let (old_node, new_node) = (pair.old, pair.new);
        Change { path, from, kind, old, new, rank, secret, inside, label, old_node, new_node }
    }

    /// The path of a pair for people, in the new document if it has a place there.
    pub(super) fn label(&self, pair: &Pair) -> Label {
        let (doc, id, identities) = match (pair.new, pair.old) {
            (Some(id), _) => (&self.new, id, &self.identities[0]),
            (None, Some(id)) => (&self.old, id, &self.identities[1]),
            (None, None) => return Label::default(),
        };
        let step = |id: NodeId| {
            let Some(parent) = doc.parent(id).filter(|p| doc.kind(*p) == NodeKind::Array) else {
                return LabelStep::Key(doc.key(id).into_owned());
            };
            let identity = identities.get(&parent).and_then(|m| Some((*m, doc.member(id, m)?)));
            identity.map_or_else(
                || LabelStep::Index(doc.position(id)),
                |(member, value)| {
                    let text = doc.string(value).unwrap_or_else(|| doc.text(value).into());
                    LabelStep::Identity(member, text.into_owned())
                },
            )
        };
        Label(doc.ancestry(id).into_iter().map(step).collect())
    }
}

struct Comparer<'d, 'a> {
    old: &'d Doc<'a>,
    new: &'d Doc<'a>,
    as_sets: bool,
    stop: &'d dyn Fn() -> bool,
    steps: u32,
    pairs: Vec<Pair>,
    identities: [BTreeMap<NodeId, &'static str>; 2],
}

impl Comparer<'_, '_> {
    fn pair(&mut self, a: NodeId, b: NodeId) -> Result<Pair, Stopped> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(256) && (self.stop)() {
            return Err(Stopped);
        }
        let mut pair = one(Relation::Changed, Some(a), Some(b));
        if self.old.same(a, self.new, b) {
            pair.relation = Relation::Same;
        } else if self.old.kind(a) != self.new.kind(b) {
            pair.relation = Relation::TypeChanged;
        } else if self.old.kind(a).is_container() {
            let is_object = self.old.kind(a) == NodeKind::Object;
            let children = if is_object { self.members(a, b)? } else { self.elements(a, b)? };
            // As sets, arrays in another order are the same.
            let same = self.as_sets && children.iter().all(|c| c.relation == Relation::Same && !c.moved);
            pair.relation = if same { Relation::Same } else { Relation::Inside };
            let start = self.pairs.len() as u32;
            self.pairs.extend(children);
            pair.children = start..self.pairs.len() as u32;
        }
        Ok(pair)
    }

    /// A merge: members of both sides are in the order of `jsonb`.
    fn members(&mut self, a: NodeId, b: NodeId) -> Result<Vec<Pair>, Stopped> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let mut olds = self.old.children(a).peekable();
        let mut news = self.new.children(b).peekable();
        let mut out = Vec::with_capacity(olds.len().max(news.len()));
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => return Ok(out),
                (Some(_), None) => Less,
                (None, Some(_)) => Greater,
                (Some(x), Some(y)) => super::json::jsonb_order(&self.old.key(*x), &self.new.key(*y)),
            };
            let x = if order == Greater { None } else { olds.next() };
            let y = if order == Less { None } else { news.next() };
            out.push(match (x, y) {
                (Some(x), Some(y)) if order == Equal => self.pair(x, y)?,
                (x, None) => one(Relation::Removed, x, None),
                (_, y) => one(Relation::Added, None, y),
            });
        }
    }

    fn elements(&mut self, a: NodeId, b: NodeId) -> Result<Vec<Pair>, Stopped> {
        if (self.stop)() {
            return Err(Stopped);
        }
        let found = align::align(self.old, a, self.new, b, self.as_sets);
        // Where one side is empty, the other may still name its elements.
        let identity = found
            .identity
            .or_else(|| if self.old.child_count(a) == 0 { align::identity(self.new, b) } else { None })
            .or_else(|| if self.new.child_count(b) == 0 { align::identity(self.old, a) } else { None });
        if let Some(identity) = identity {
            self.identities[0].insert(b, identity);
            self.identities[1].insert(a, identity);
        }
        let mut out = Vec::with_capacity(found.steps.len());
        for step in found.steps {
            let (from, to) = match step {
                Step::Both(from, to) | Step::Moved(from, to) => (Some(from), Some(to)),
                Step::Old(from) => (Some(from), None),
                Step::New(to) => (None, Some(to)),
            };
            let from = from.and_then(|place| self.old.child(a, place));
            let to = to.and_then(|place| self.new.child(b, place));
            out.push(match (from, to) {
                (Some(x), Some(y)) => Pair { moved: matches!(step, Step::Moved(..)), ..self.pair(x, y)? },
                (from, None) => one(Relation::Removed, from, None),
                (None, to) => one(Relation::Added, None, to),
            });
        }
        Ok(out)
    }
}

fn one(relation: Relation, old: Option<NodeId>, new: Option<NodeId>) -> Pair {
    Pair { relation, old, new, moved: false, children: 0..0 }
}

/// A removed value that was added elsewhere has moved, when there is only one of it on each side.
fn find_moves(pairs: &mut [Pair], old: &Doc<'_>, new: &Doc<'_>) {
    let mut gone: HashMap<u64, Vec<usize>> = HashMap::new();
    let mut came: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, pair) in pairs.iter().enumerate() {
        match (pair.relation, pair.old, pair.new) {
            (Relation::Removed, Some(id), _) if old.text(id).len() >= MOVED_BYTES => {
                gone.entry(old.fingerprint(id)).or_default().push(at);
            }
            (Relation::Added, _, Some(id)) if new.text(id).len() >= MOVED_BYTES => {
                came.entry(new.fingerprint(id)).or_default().push(at);
            }
            _ => {}
        }
    }
    for (fingerprint, from) in gone {
        let (&[from], Some(&[to])) = (from.as_slice(), came.get(&fingerprint).map(Vec::as_slice)) else {
            continue;
        };
        let (Some(a), Some(b)) = (pairs[from].old, pairs[to].new) else { continue };
        if old.same(a, new, b) {
            pairs[from].relation = Relation::MovedOut;
            pairs[to] = Pair { moved: true, ..one(Relation::Same, Some(a), Some(b)) };
        }
    }
}
