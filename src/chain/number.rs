//! Numbers: from a JSON token to what PostgreSQL's `numeric` prints, and from there to Python's layout. Digits only,
//! no floats: a double would not hold every digit that `numeric` keeps.

use super::canonical::Reason;

/// The parts of a JSON number.
struct Token<'a> {
    negative: bool,
    integer: &'a [u8],
    fraction: &'a [u8],
    /// Cut to ±1 000 000, far beyond any accepted number.
    exponent: Option<i64>,
    length: usize,
}

/// Appends the number at the start of `input` and returns its length in the input.
///
/// A number without point and exponent stays as it is (`-0` becomes `0`); one with an exponent is written out as
/// `numeric` does (`1e2` becomes `100`). What then has a point is a float to Python: positional for decimal exponents
/// -4 to 15, else `d.ddde±XX`. All digits are kept, also those that Python would not have written (`1.10`).
pub(super) fn append(input: &[u8], max_digits: usize, out: &mut Vec<u8>) -> Result<usize, Reason> {
    if let Some(plain) = plain_integer(input).filter(|plain| plain.len() <= max_digits) {
        out.extend_from_slice(plain);
        return Ok(plain.len());
    }
    let token = read(input)?;
    match token.exponent {
        None => {
            let digits = token.integer.len() + token.fraction.len();
            if digits > max_digits {
                return Err(Reason::NumberTooLong(max_digits));
            }
            lay_out(token.negative, token.integer, token.fraction, out);
        }
        Some(exponent) => {
            let (integer, fraction) = write_out(&token, exponent, max_digits)?;
            lay_out(token.negative, &integer, &fraction, out);
        }
    }
    Ok(token.length)
}

/// A short integer without sign, which stays as it is: most numbers are.
fn plain_integer(input: &[u8]) -> Option<&[u8]> {
    const SHORT: usize = 15;
    let length = input.iter().take(SHORT + 1).take_while(|b| b.is_ascii_digit()).count();
    let (digits, after) = input.split_at_checked(length)?;
    let leading_zero = length > 1 && digits.first() == Some(&b'0');
    let goes_on = matches!(after.first(), Some(b'0'..=b'9' | b'.' | b'e' | b'E'));
    (length > 0 && !leading_zero && !goes_on).then_some(digits)
}

fn read(input: &[u8]) -> Result<Token<'_>, Reason> {
    const EXPECTED: Reason = Reason::Syntax("a number is malformed");
    let digits_at =
        |at: usize| input.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count();
    let negative = input.first() == Some(&b'-');
    let start = usize::from(negative);
    let length = digits_at(start);
    if length == 0 || (length > 1 && input.get(start) == Some(&b'0')) {
        return Err(EXPECTED);
    }
    let mut at = start + length;
    let integer = input.get(start..at).unwrap_or_default();
    let mut fraction: &[u8] = &[];
    if input.get(at) == Some(&b'.') {
        let length = digits_at(at + 1);
        if length == 0 {
            return Err(EXPECTED);
        }
        fraction = input.get(at + 1..at + 1 + length).unwrap_or_default();
        at += 1 + length;
    }
    let mut exponent = None;
    if let Some(b'e' | b'E') = input.get(at) {
        let sign = input.get(at + 1).filter(|b| matches!(b, b'+' | b'-'));
        let from = at + 1 + usize::from(sign.is_some());
        let length = digits_at(from);
        if length == 0 {
            return Err(EXPECTED);
        }
        let magnitude = input
            .get(from..from + length)
            .unwrap_or_default()
            .iter()
            .fold(0i64, |n, b| (n * 10 + i64::from(b - b'0')).min(1_000_000));
        exponent = Some(if sign == Some(&b'-') { -magnitude } else { magnitude });
        at = from + length;
    }
    Ok(Token { negative, integer, fraction, exponent, length: at })
}

/// Integer and fraction digits of a token with an exponent, as `numeric` would print them: the scale is the number of
/// fraction digits less the exponent, never below zero.
fn write_out(token: &Token<'_>, exponent: i64, max_digits: usize) -> Result<(Vec<u8>, Vec<u8>), Reason> {
    let too_long = Reason::NumberTooLong(max_digits);
    let limit = i64::try_from(max_digits).unwrap_or(i64::MAX);
    let digits: Vec<u8> = token.integer.iter().chain(token.fraction).copied().collect();
    let leading = digits.iter().take_while(|b| **b == b'0').count();
    let scale = (token.fraction.len() as i64 - exponent).max(0);
    let significant = digits.get(leading..).unwrap_or_default();
    // Digits before the point; negative when zeros follow the point first.
    let point = token.integer.len() as i64 - leading as i64 + exponent;
    let integer_length = if significant.is_empty() { 1 } else { point.max(1) };
    if integer_length + scale > limit {
        return Err(too_long);
    }
    let zeros = |n: i64| std::iter::repeat_n(b'0', usize::try_from(n).unwrap_or(0));
    if significant.is_empty() {
        return Ok((vec![b'0'], zeros(scale).collect()));
    }
    let cut = usize::try_from(point).unwrap_or(0).min(significant.len());
    let (before, after) = significant.split_at(cut);
    let mut integer: Vec<u8> = before.to_vec();
    integer.extend(zeros(point - before.len() as i64));
    if integer.is_empty() {
        integer.push(b'0');
    }
    let mut fraction: Vec<u8> = zeros(if scale > 0 { -point } else { 0 }).collect();
    fraction.extend_from_slice(after);
    Ok((integer, fraction))
}

/// Python's layout of a decimal number.
fn lay_out(negative: bool, integer: &[u8], fraction: &[u8], out: &mut Vec<u8>) {
    let whole = integer.iter().position(|b| *b != b'0');
    let small = fraction.iter().position(|b| *b != b'0');
    // `numeric` has no negative zero.
    if negative && (whole.is_some() || small.is_some()) {
        out.push(b'-');
    }
    let exponent = match (whole, small) {
        (Some(_), _) => integer.len() as i64 - 1,
        (None, Some(zeros)) => -1 - zeros as i64,
        (None, None) => 0,
    };
    if fraction.is_empty() || (-4..16).contains(&exponent) {
        out.extend_from_slice(integer);
        if !fraction.is_empty() {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        return;
    }
    let skip = if whole.is_some() { 0 } else { integer.len() + small.unwrap_or(0) };
    let mut digits = integer.iter().chain(fraction).skip(skip).copied();
    out.extend(digits.next());
    let point_at = out.len();
    out.push(b'.');
    out.extend(digits);
    if out.len() == point_at + 1 {
        out.pop();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    out.extend_from_slice(format!("e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(token: &str) -> Result<String, Reason> {
        let mut out = Vec::new();
        let length = append(token.as_bytes(), 4096, &mut out)?;
        assert_eq!(length, token.len(), "{token}");
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn numbers_take_pythons_layout() {
        for (token, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("-12", "-12"),
            ("1.0", "1.0"),
            ("1.10", "1.10"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("-0.0000123", "-1.23e-05"),
            ("0.00000010", "1.0e-07"),
            ("1e2", "100"),
            ("1E-7", "1e-07"),
            ("1.5e1", "15"),
            ("1.50e1", "15.0"),
            ("0.05e1", "0.5"),
            ("-1.5E+300", &format!("-15{}", "0".repeat(299))),
            ("9007199254740993", "9007199254740993"),
            ("9999999999999999.0", "9999999999999999.0"),
            ("10000000000000000.0", "1.00000000000000000e+16"),
            ("12345678901234567.5", "1.23456789012345675e+16"),
            ("0e5", "0"),
            ("0e-3", "0.000"),
            ("0.0000000000e2", "0.00000000"),
            ("1e-100", "1e-100"),
            ("1e00000000000000000000000000002", "100"),
        ] {
            assert_eq!(canonical(token).as_deref(), Ok(expected), "{token}");
        }
    }

    #[test]
    fn malformed_numbers_are_refused() {
        for token in ["-", "01", "-01", "1.", "1.e5", ".5", "1e", "1e+", "+1"] {
            assert!(append(token.as_bytes(), 4096, &mut Vec::new()).is_err(), "{token}");
        }
    }

    #[test]
    fn the_digits_are_counted_as_they_will_be_printed() {
        assert_eq!(canonical("1e4095").unwrap().len(), 4096);
        for token in ["1e4096", "1e131071", "1e999999999999999999999", "1e-4096", "-0.1e-4095", "0e-4096"] {
            assert_eq!(canonical(token), Err(Reason::NumberTooLong(4096)), "{token}");
        }
        assert!(canonical(&"9".repeat(4097)).is_err());
        assert_eq!(canonical("1e-4095").as_deref(), Ok("1e-4095"));
        assert_eq!(canonical("0e4096").as_deref(), Ok("0"));
    }
}
