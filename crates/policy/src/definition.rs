//! One definition of a rule, as far as the checks need to know it.

use std::collections::BTreeSet;

use crate::fields::Fields;
use crate::syntax::{Expr, Head, Module, Rule, Span, constant_path};

/// What a definition says about its value, for the questions whether two definitions can disagree and whether the
/// value can be undefined after the body succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// Always `true`.
    True,
    /// Always `false`.
    False,
    /// A constant.
    Constant,
    /// A variable of the body.
    Local,
    /// Anything else.
    Computed,
}

/// How a definition's head is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `name`, `name := value`.
    Complete,
    /// `name contains member`.
    Set,
    /// `name[key]`; `plain` when the key is a variable of the body and no value is given.
    Object { plain: bool },
    /// `name(args)`.
    Function,
    /// `default name := value`; for a function when `function`.
    Default { function: bool },
}

/// A replacement of a piece of the text, by byte offsets; an insertion when they are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edit {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) text: String,
}

impl Edit {
    pub(crate) const fn insert(offset: usize, text: String) -> Self {
        Self { start: offset, end: offset, text }
    }
}

/// A call, for the check that the function exists and takes that many arguments.
#[derive(Clone, Debug)]
pub(crate) struct CallSite {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) given: usize,
    /// Whether the call is a statement: then one more argument receives the value.
    pub(crate) statement: bool,
    /// Whether the arguments are written down, where the bound of the work depends on that.
    pub(crate) constant: bool,
}

impl CallSite {
    /// Whether a function of `arity` arguments may be called so.
    pub(crate) const fn suits(&self, arity: usize) -> bool {
        self.given == arity || (self.statement && self.given == arity + 1)
    }
}

/// One definition of a rule, and what the checks need to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// Index of its module.
    pub(crate) module: usize,
    /// Package and name, without `data`; the constant part of the head.
    pub(crate) path: Vec<String>,
    /// How many components of `path` are the package.
    pub(crate) package: usize,
    pub(crate) shape: Shape,
    /// How many arguments it takes, when it is a function.
    pub(crate) arity: Option<usize>,
    /// Place of the definition.
    pub(crate) span: Span,
    /// Place of the rule's name in the head.
    pub(crate) name: Span,
    pub(crate) values: Vec<Worth>,
    pub(crate) has_else: bool,
    /// Whether the head names more than a rule and one key.
    pub(crate) deep_head: bool,
    pub(crate) reads: Fields,
    pub(crate) refs: BTreeSet<Vec<String>>,
    /// Calls of functions of the policies, as paths; also in `refs`.
    pub(crate) user_calls: Vec<(Vec<String>, CallSite)>,
    pub(crate) builtin_calls: Vec<CallSite>,
    pub(crate) impure: bool,
    pub(crate) uses_with: bool,
    /// An array or object comprehension whose element can be undefined.
    pub(crate) loose_element: bool,
    /// `some x in c` where `c` may be no collection.
    pub(crate) loose_collection: bool,
    /// Whether an operator works on values that are not literal numbers: whatever a client sends there, text included.
    pub(crate) loose_operator: bool,
    /// Whether it asks for a key and a value at once (`key, value in collection`).
    pub(crate) keyed_membership: bool,
    /// `pattern := value` where the pattern is not one variable.
    pub(crate) pattern_assign: bool,
    /// After each `variable := value`, a test that the value is there: see [`crate::fast`].
    pub(crate) guards: Vec<Edit>,
    /// Each use of an imported package, spelled out: regorus takes `import data.lib` and `lib.rule` for the whole
    /// document `data.lib`, which its interpreter evaluates wrongly when rules spread over several files.
    pub(crate) aliases: Vec<Edit>,
    pub(crate) strings: BTreeSet<String>,
}

impl Definition {
    /// A definition of which only the head is known.
    pub(crate) fn blank(index: usize, module: &Module, rule: &Rule) -> Definition {
        let refr = rule.refr();
        let mut path = module.package.clone();
        let package = path.len();
        constant_path(refr, &mut path);
        let (span, shape, arity) = match rule {
            Rule::Default { span, args, .. } => {
                let function = !args.is_empty();
                (*span, Shape::Default { function }, function.then_some(args.len()))
            }
            Rule::Spec { span, head: head @ Head::Func { args, .. }, .. } => {
                (*span, shape(head), Some(args.len()))
            }
            Rule::Spec { span, head, .. } => (*span, shape(head), None),
        };
        Self {
            module: index,
            package,
            shape,
            arity,
            span,
            name: name_span(refr).unwrap_or(span),
            values: Vec::new(),
            has_else: false,
            deep_head: brackets(refr) > usize::from(matches!(shape, Shape::Object { .. })),
            path,
            reads: Fields::NONE,
            refs: BTreeSet::new(),
            user_calls: Vec::new(),
            builtin_calls: Vec::new(),
            impure: false,
            uses_with: false,
            loose_element: false,
            loose_collection: false,
            loose_operator: false,
            keyed_membership: false,
            pattern_assign: false,
            guards: Vec::new(),
            aliases: Vec::new(),
            strings: BTreeSet::new(),
        }
    }
}

fn shape(head: &Head) -> Shape {
    match head {
        Head::Set { .. } => Shape::Set,
        Head::Func { .. } => Shape::Function,
        Head::Compr { refr: Expr::RefBrack { index, .. }, assign } => {
            Shape::Object { plain: assign.is_none() && matches!(index.as_ref(), Expr::Var { .. }) }
        }
        Head::Compr { .. } => Shape::Complete,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only references have parts")]
fn brackets(refr: &Expr) -> usize {
    match refr {
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => 1 + brackets(refr),
        _ => 0,
    }
}

/// The place of the name at the root of a reference.
#[expect(clippy::wildcard_enum_match_arm, reason = "only references have a root")]
pub(crate) fn name_span(refr: &Expr) -> Option<Span> {
    match refr {
        Expr::Var { span, .. } => Some(*span),
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => name_span(refr),
        _ => None,
    }
}
