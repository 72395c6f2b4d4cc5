#include "ballast/dynamic/language/diagnostics.h"

namespace ballast::dynamic {

// rev and its like re-pack what is there: they leave the depth of their arguments alone.
const char* const kPrelude = R"(
type List[A] = Nil | Cons(A, List[A]);
fn map[A, B](f: fn(A) -> B, xs: List[A]) -> List[B] {
  match xs { Nil => Nil, Cons(x, t) => { let y = f(x); Cons(y, map(f, t)) } } }
fn par_map[A, B](f: fn(A) -> B, xs: List[A]) -> List[B] {
  match xs { Nil => Nil, Cons(x, t) => { let r = concurrent { f(x), par_map(f, t) }; Cons(r.0, r.1) } } }
fn foldl[A, B](f: fn(B, A) -> B, s: B, xs: List[A]) -> B {
  match xs { Nil => s, Cons(x, t) => foldl(f, f(s, x), t) } }
fn foldr[A, B](f: fn(A, B) -> B, s: B, xs: List[A]) -> B {
  match xs { Nil => s, Cons(x, t) => f(x, foldr(f, s, t)) } }
@depth_constant fn zip[A, B](xs: List[A], ys: List[B]) -> List[(A, B)] {
  match xs { Nil => Nil, Cons(x, t) => match ys { Nil => Nil, Cons(y, u) => Cons((x, y), zip(t, u)) } } }
@depth_constant fn rev_onto[A](xs: List[A], onto: List[A]) -> List[A] {
  match xs { Nil => onto, Cons(x, t) => rev_onto(t, Cons(x, onto)) } }
@depth_constant fn rev[A](xs: List[A]) -> List[A] { rev_onto(xs, Nil) }
@depth_constant fn append[A](xs: List[A], ys: List[A]) -> List[A] { rev_onto(rev(xs), ys) }
fn len_from[A](xs: List[A], n: i32) -> i32 { match xs { Nil => n, Cons(x, t) => len_from(t, n + 1) } }
fn len[A](xs: List[A]) -> i32 { len_from(xs, 0) }
@depth_constant fn nth[A](xs: List[A], i: i32, otherwise: A) -> A {
  match xs { Nil => otherwise, Cons(x, t) => if i == 0 { x } else { nth(t, i - 1, otherwise) } } }
)";

}  // namespace ballast::dynamic
