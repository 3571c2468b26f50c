//! One definition of a rule, as far as the checks need to know it.

use std::collections::BTreeSet;

use crate::read_set::ReadSet;
use crate::syntax::{Expr, Head, Module, Rule, Span, constant_path};

/// What a definition says about its value, for the questions whether two definitions can disagree and whether the
/// value can be undefined after the body succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worth {
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
pub enum Shape {
    /// `name`, `name := value`.
    Complete,
    /// `name contains member`.
    Set,
    /// `name[key]`; `plain` when the key is a variable of the body and no value is given.
    Object {
        /// See above.
        plain: bool,
    },
    /// `name(args)`.
    Function,
    /// `default name := value`; for a function when `function`.
    Default {
        /// See above.
        function: bool,
    },
}

/// A replacement of a piece of the text, by byte offsets; an insertion when they are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// Offset of the first byte that is replaced.
    pub start: usize,
    /// Offset past the last.
    pub end: usize,
    /// What stands there instead.
    pub text: String,
}

impl Edit {
    /// An insertion before the byte at `offset`.
    #[must_use]
    pub const fn insert(offset: usize, text: String) -> Self {
        Self { start: offset, end: offset, text }
    }
}

/// One step of a reference below `input`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key that is written down.
    Key(String),
    /// An index that is not: a variable, a number, an expression.
    Dynamic,
}

/// A reference to `input`, import aliases resolved.
#[derive(Clone, Debug)]
pub struct InputRef {
    /// The steps below `input`; none for the whole input.
    pub path: Vec<Step>,
    /// Place of the name that the reference begins with.
    pub span: Span,
}

/// A call, for the check that the function exists and takes that many arguments.
#[derive(Clone, Debug)]
pub struct CallSite {
    /// The function, as written.
    pub name: String,
    /// Place of the call.
    pub span: Span,
    /// How many arguments it is given.
    pub given: usize,
    /// Whether the call is a statement: then one more argument receives the value.
    pub statement: bool,
    /// Whether the arguments are written down, where the bound of the work depends on that.
    pub constant: bool,
}

impl CallSite {
    /// Whether a function of `arity` arguments may be called so.
    #[must_use]
    pub const fn suits(&self, arity: usize) -> bool {
        self.given == arity || (self.statement && self.given == arity + 1)
    }
}

/// One definition of a rule, and what the checks need to know of it.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Index of its module.
    pub module: usize,
    /// Package and name, without `data`; the constant part of the head.
    pub path: Vec<String>,
    /// How many components of `path` are the package.
    pub package: usize,
    /// How the head is built.
    pub shape: Shape,
    /// How many arguments it takes, when it is a function.
    pub arity: Option<usize>,
    /// Place of the definition.
    pub span: Span,
    /// Place of the rule's name in the head.
    pub name: Span,
    /// Place of the head: name, key or arguments, value.
    pub head: Span,
    /// What the definition says about its value: the head, then each `else`.
    pub values: Vec<Worth>,
    /// Whether it goes on with `else`.
    pub has_else: bool,
    /// Whether the head names more than a rule and one key.
    pub deep_head: bool,
    /// The paths of `input` that it reads itself.
    pub reads: ReadSet,
    /// Every reference to `input`, in the order of the text.
    pub input_refs: Vec<InputRef>,
    /// The paths below `data` that it refers to.
    pub refs: BTreeSet<Vec<String>>,
    /// Calls of functions of the policies, as paths; also in `refs`.
    pub user_calls: Vec<(Vec<String>, CallSite)>,
    /// Calls of everything else.
    pub builtin_calls: Vec<CallSite>,
    /// Whether a builtin gives another value each time.
    pub impure: bool,
    /// Whether it replaces parts of a document (`with`).
    pub uses_with: bool,
    /// An array or object comprehension whose element can be undefined.
    pub loose_element: bool,
    /// `some x in c` where `c` may be no collection.
    pub loose_collection: bool,
    /// Whether an operator works on values that are not literal numbers: whatever a client sends there, text included.
    pub loose_operator: bool,
    /// Whether it asks for a key and a value at once (`key, value in collection`).
    pub keyed_membership: bool,
    /// `pattern := value` where the pattern is not one variable.
    pub pattern_assign: bool,
    /// After each `variable := value`, a test that the value is there: the virtual machine of regorus lets it pass.
    pub guards: Vec<Edit>,
    /// Each use of an imported package, spelled out: regorus takes `import data.lib` and `lib.rule` for the whole
    /// document `data.lib`, which its interpreter evaluates wrongly when rules spread over several files.
    pub aliases: Vec<Edit>,
    /// The texts that are written in it.
    pub strings: BTreeSet<String>,
    /// The names that it gives its reasons: texts of a member `rule`.
    pub names: BTreeSet<String>,
}

impl Definition {
    /// A definition of which only the head is known.
    #[must_use]
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
            head: if let Rule::Spec { head, .. } = rule { head.span() } else { span },
            values: Vec::new(),
            has_else: false,
            deep_head: brackets(refr) > usize::from(matches!(shape, Shape::Object { .. })),
            path,
            reads: ReadSet::default(),
            input_refs: Vec::new(),
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
            names: BTreeSet::new(),
        }
    }
}

fn shape(head: &Head) -> Shape {
    match head {
        Head::Set { .. } => Shape::Set,
        Head::Func { .. } => Shape::Function,
        Head::Compr { refr: Expr::RefBrack { index, .. }, assign, .. } => {
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
