"""The texts of minilm_texts.jsonl: many scripts, short and long, clean and dirty.

Written for this project. Kept in Python so that control characters and rare code points can be
spelled by escape; `make_minilm.py` writes them out as JSON lines.
"""
import random

LANGUAGES = [
    "The cat sleeps on the warm windowsill all afternoon.", "A cat is napping beside the window.",
    "Die Straßenbahn fährt wegen Bauarbeiten heute nicht.", "Übermäßige Größe schützt nicht vor Ärger.",
    "Le garçon a mangé une crème brûlée à l'hôtel.", "Où est passée la clé de la fenêtre ?",
    "El niño corrió por la montaña buscando a su perro.", "¿Dónde está la biblioteca más cercana?",
    "A previsão é de chuva fraca amanhã em São Paulo.", "Perché l'università è chiusa il martedì?",
    "De trein naar Utrecht vertrekt over vijf minuten.", "Smørbrød med røget ål er en dansk klassiker.",
    "Jag åker skridskor på sjön när isen är tjock.", "Pohjoisen yöttömät yöt lumoavat matkailijat.",
    "Það er kalt á Íslandi þegar vindurinn blæs.", "Zażółć gęślą jaźń, powiedział stary poeta.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.", "Vypočítaj súčet čísel ľavého stĺpca.",
    "Az árvíztűrő tükörfúrógép hangosan működik.", "Orașul are străzi înguste și case vechi.",
    "Pijamalı hasta yağız şoföre çabucak güvendi.", "İstanbul'da ılık bir ığdır rüzgârı esiyor.",
    "Съешь же ещё этих мягких французских булок.", "Поезд в Москву отправляется в полночь.",
    "Щедрий майстер із Києва їздить на ґанок.", "Жълтият таксиметър чака пред хотела.",
    "Љубазни фењерџија чађавог лица хоће да ми покаже штос.", "Ταχίστη αλώπηξ βαφής ψημένη γη.",
    "Ο καφές στην Αθήνα είναι πολύ δυνατός.", "דג סקרן שט בים מאוכזב ולפתע מצא חברה.",
    "שָׁלוֹם עֲלֵיכֶם", "مرحبا بالعالم، كيف حالك اليوم؟", "اَلْعَرَبِيَّةُ لُغَةٌ جَمِيلَةٌ",
    "این کتاب درباره تاریخ ایران است.", "یہ کتاب بہت دلچسپ ہے۔", "मैं कल बाज़ार से ताज़े फल खरीदूँगा।",
    "यह पुस्तक भारत के इतिहास के बारे में है।", "আমি বাংলায় গান গাই।", "ਸਤ ਸ੍ਰੀ ਅਕਾਲ, ਤੁਸੀਂ ਕਿਵੇਂ ਹੋ?",
    "ગુજરાતી ભાષા સુંદર છે.", "தமிழ் ஒரு செம்மொழி ஆகும்.", "తెలుగు భాష చాలా తీయనిది.",
    "ಕನ್ನಡ ನಾಡು ಚೆಂದ.", "മലയാളം എന്റെ മാതൃഭാഷയാണ്.", "සිංහල අකුරු ලස්සනයි.",
    "แมวนอนหลับอยู่บนหน้าต่าง", "ขอบคุณมากครับ วันนี้อากาศดี", "ພາສາລາວ ງາມຫຼາຍ", "မြန်မာဘာသာစကား",
    "ភាសាខ្មែរ", "བོད་སྐད་", "Tiếng Việt có nhiều dấu thanh: à, ả, ã, á, ạ.", "今日はとても良い天気ですね。",
    "カタカナとひらがなを混ぜて書く。", "ｶﾀｶﾅ と ﾊﾝｶｸ", "猫がテーブルの上で寝ています", "我喜欢在图书馆看书。",
    "这只猫在窗台上睡觉", "這隻貓在窗台上睡覺", "北京2008年奥运会", "한국어 문장을 임베딩으로 바꿉니다.",
    "고양이가 창가에서 자고 있다", "ქართული ენა ძველია.", "Հայերենը հին լեզու է։", "አማርኛ የኢትዮጵያ ቋንቋ ነው።",
    "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "ᓄᓇᕗᑦ", "Ꙗко же рече", "ᚠᚢᚦᚨᚱᚲ", "𐌰𐌱𐌲𐌳", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝕞𝕒𝕥𝕙 𝓵𝓮𝓽𝓽𝓮𝓻𝓼", "ＦＵＬＬ ｗｉｄｔｈ　ｔｅｘｔ",
    "Монгол хэл бол сайхан", "ᠮᠣᠩᠭᠣᠯ", "Kia ora e te whānau", "ʻŌlelo Hawaiʻi", "Ẹ kú àárọ̀, ṣé dáadáa ni?",
    "Bahasa Indonesia mudah dipelajari.", "Ninapenda kusoma vitabu vya historia.", "Ģirts šķērso ielu", "Žąsys skrenda į pietus",
    "Õhtul läheme sõpradega rõõmsalt koju", "Is fearr Gaeilge bhriste ná Béarla cliste.", "Mae hen wlad fy nhadau", "Ĉu vi parolas Esperanton?",
]

ENGLISH = [
    "A man is playing a guitar on stage.", "Someone performs music with a stringed instrument.",
    "How do I remove duplicate files from a folder?", "Tool that finds identical files on a disk",
    "edit photos", "image manipulation program", "watch videos", "media player for movies and music",
    "The stock market fell sharply after the announcement.", "Shares dropped on Monday.",
    "Photosynthesis converts light energy into chemical energy.", "Plants use sunlight to make food.",
    "Neural networks approximate functions by composing simple layers.", "She sells sea shells by the sea shore.",
    "The mitochondrion is the powerhouse of the cell.", "Paris is the capital of France.", "What is the capital of Australia?",
    "I would like a refund for my broken headphones, please.", "My parcel never arrived.", "Where is my order?",
    "the", "a", "The quick brown fox jumps over the lazy dog", "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
    "unbelievable antidisestablishmentarianism", "Pneumonoultramicroscopicsilicovolcanoconiosis is a long word.",
    "It's 3:45pm on 12/31/1999; pay $1,234.56 (or €1.100,00) now!", "E = mc^2, a^2 + b^2 = c^2, and e^{i\\pi} + 1 = 0.",
    "Dr. Smith's co-worker can't re-enter the U.S.A. w/o a visa...", "well-known state-of-the-art twenty-first-century ideas",
    "\"Quoted\" 'text' “curly” ‘single’ «guillemets» „low“", "naïve café résumé façade Zoë coöperate", "cafe\u0301 re\u0301sume\u0301 in decomposed form",
    "ﬁne ﬂour with ligatures", "Ǆ Ǉ Ǌ and ß and ſ and K (kelvin)", "x² + y³ ≤ ½ ∑ √∞ ≠ ∅", "H₂O and CO₂", "™ © ® № ℡", "Ⅷ ⅸ ① ② ⑳",
    "3.14159265358979323846264338327950288419716939937510", "1,000,000 10^-9 0x1F 0b1010 1e10", "+1 (555) 010-9999", "user.name+tag@example.org",
    "https://example.org/path/to/page?query=1&other=two#frag", "C:\\Users\\name\\Documents\\file.txt", "/usr/share/doc/readme.md",
]

CODE = [
    "int main() { return 0; }", "for (int i = 0; i < n; ++i) sum += a[i] * b[i];", "def f(x):\n    return x ** 2\n",
    "SELECT name, COUNT(*) FROM users WHERE age >= 18 GROUP BY name;", "#include <vector>\nstd::vector<int> v{1, 2, 3};",
    "<html><body><p class=\"x\">Hi &amp; bye</p></body></html>", "{\"key\": [1, 2, {\"nested\": null}], \"ok\": true}",
    "git commit -m \"fix: off-by-one\" && git push", "const f = async (x) => await g(x) ?? 0;", "\\frac{\\partial L}{\\partial w} = x^\\top \\delta",
    "fn main() { println!(\"{:?}\", vec![1, 2]); }", "template <class T, int N> struct array { T data_[N]; };", "snake_case camelCase PascalCase kebab-case SCREAMING_CASE",
    "a=1;b=2;c=a+b", "if(x&&y||!z){x^=~y;}", "%s %d %05.2f \\n \\t \\\\ \\0",
]

EMOJI = [
    "😀", "I love pizza 🍕🍕🍕!", "👨‍👩‍👧‍👦 family", "👍🏽 skin tone", "🇫🇷🇯🇵🇧🇷 flags", "❤️ and ♥ and ❤", "☃ snow ☂ rain ☀ sun", "¯\\_(ツ)_/¯", "🏴󠁧󠁢󠁥󠁮󠁧󠁿 tag flag", "text😀glued😀to😀emoji",
]

EDGES = [
    "", " ", "\t", "\n", "\r\n", "   leading and trailing   ", "a\tb\tc", "line one\nline two\r\nline three\rline four", "double  space   triple",
    "\u00a0no\u00a0break\u00a0space\u00a0", "\u3000ideographic\u3000space", "zero\u200bwidth\u200bspace", "zero\u200dwidth\u200cjoiners", "\ufeffbyte order mark", "soft\u00adhyphen\u00adated",
    "nul\u0000inside", "bell\u0007 escape\u001b[31mred", "vertical\u000btab form\u000cfeed", "file\u001cgroup\u001dsep", "delete\u007fchar", "next\u0085line", "line\u2028sep para\u2029sep",
    "replacement \ufffd char", "private \ue000\uf8ff use", "noncharacter \ufffe\uffff end", "tags \U000e0041\U000e0042", "right\u202eto left\u202c override", "object \ufffc marker",
    "unassigned \u0378\u0379 \U0003fffd", "x", "Z", "7", "?", "é", "中", "ß", "İ", "ǰ", "\u0301", "a\u0301\u0302\u0303\u0304\u0305", "z\u0335\u0321a\u0334l\u0338g\u0337o\u0336", ".", "...", "!!!", "-", "—", "_", "__init__", "#", "##", "##ing", "[", "]",
    "[CLS]", "[SEP] [SEP]", "a [MASK] in the text", "[PAD][PAD] padded", "[UNK] unknown [unk]", "the [CLS]glued[SEP] tokens", "[ CLS ] spaced", "[cls] lower case", "<s> </s> <mask> <|endoftext|>", "[unused0] [unused99]",
    "a" * 99, "b" * 100, "c" * 101, "ab" * 300, "中" * 40, "é" * 100 + " after", "1234567890" * 12, "!?" * 60, "word " * 100,
    "no_break" + "\u200b" * 20 + "run", "ΣΊΣΥΦΟΣ ΌΣΟΣ ΣΑΣ", "ŒUVRE Æther ÅNGSTRÖM ĲSSEL", "Ω Ω µ μ Å Å", "각 각 가",
]


def long_texts():
    rng = random.Random(20240607)
    words = " ".join(ENGLISH).split()
    mixed = " ".join(LANGUAGES).split()
    out = []
    for n in (150, 190, 254, 260, 400, 1000):
        out.append(" ".join(rng.choice(words) for _ in range(n)))
    for n in (40, 90, 300):
        out.append(" ".join(rng.choice(mixed) for _ in range(n)))
    out.append("the " * 253 + "end")   # 254 pieces and two special tokens: exactly the limit of 256
    out.append("the " * 254 + "end")   # one more: the last piece falls off
    out.append("the " * 252 + "end")
    out.append("我" * 400)
    return out


def all_texts():
    return LANGUAGES + ENGLISH + CODE + EMOJI + EDGES + long_texts()
