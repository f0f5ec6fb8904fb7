# What Doxygen reads of a header: the parts of a doc comment have headings, and a friend of namespace detail is no member
# that it would look for.
s/^\( *\)\/\/\/ \(Behaviour\|Cancellation\|Threads\|Lifetime\|Cost\|Differs from Python\|Example\|See also\): /\1\/\/\/ @part{\2} /
s/\([.)`;]\) \(Behaviour\|Cancellation\|Threads\|Lifetime\|Cost\): /\1 @part{\2} /
s/^ *friend detail::.*;$//
# The bases that build.sh copies out of it.
s/detail::\(basic_queue\|basic_outcome\)\b/\1/g
