"""Scripts that are written without spaces between words, as the inside of a character class of any regex engine."""

# Letters of the scripts that separate no words: Thai and Lao, Burmese, Khmer, Tai Le to Tai Tham, Balinese, Javanese
# and Burmese extensions, Tai Viet, kana, ideographs. Their digits are left out: a number is one word in any script.
UNSPACED = (
    "\u0e00-\u0e4f\u0e80-\u0ecf\u0eda-\u0eff\u1000-\u103f\u104a-\u108f\u109a-\u109f\u1780-\u17df\u1950-\u19cf"
    "\u1a00-\u1a7f\u1b00-\u1b4f\ua980-\ua9cf\ua9e0-\ua9ef\uaa60-\uaadf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
