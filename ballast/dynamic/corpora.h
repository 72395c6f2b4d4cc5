// Instances out of real data that packages bring: WordNet (Debian: wordnet-base) and Chinese text
// (debian-reference-zh-cn) with jieba's dictionary (PyPI: jieba).
//
//   read_corpus(module, "wordnet", 64, seed)   // tree models: trees of kinds; word models: glosses
//   read_corpus(module, "chinese", 64, seed)   // lattice models: every dictionary word an arc; word models:
//                                              // sentences cut into words
//
// A tree of kinds is what lies below a noun by its "is a kind of" pointers: dog -> (puppy, corgi -> ..). Its
// nodes are the words; for binary models children are joined from the left, and a label is the depth, 4 at
// most. A sentence is cut by the most probable path over the dictionary's words, as jieba does.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ballast/dynamic/instances.h"

namespace ballast::dynamic {

/// Names that read_corpus knows.
std::vector<std::string> corpus_names();
/// `count` instances (fewer when the corpus has no more), chosen by the seed. Throws Unavailable naming the
/// package when it is not installed, InvalidInput when the model takes something else.
std::vector<Instance> read_corpus(const Module& module, const std::string& name, int count,
                                  std::uint64_t seed);

/// WordNet's data.noun: what the reader keeps of it.
struct Synset {
  std::string word, gloss;
  std::vector<std::uint32_t> kinds;  ///< places of its hyponyms in the list
};
/// Throws InvalidInput naming the line: a field that is no number, a pointer to no synset.
std::vector<Synset> parse_synsets(const std::string& text, const std::string& where);

/// jieba's dictionary: "word count tag" a line. Words of one character are kept for their counts.
class Dictionary {
 public:
  /// Throws InvalidInput naming the line.
  static Dictionary parse(const std::string& text, const std::string& where);
  std::int64_t count(const std::string& word) const;  ///< 0: not in it
  std::int64_t total() const { return total_; }
  int longest() const { return longest_; }  ///< in characters

 private:
  std::map<std::string, std::int64_t> counts_;
  std::int64_t total_ = 0;
  int longest_ = 1;
};

/// UTF-8 into characters; throws InvalidInput for what is no UTF-8.
std::vector<std::string> characters_of(const std::string& text);
/// Runs of at least four Chinese characters between marks and line ends.
std::vector<std::string> chinese_sentences(const std::string& text);
/// The lattice of a sentence: per character the arcs (span, word) of dictionary words that end with it.
Value lattice_of_sentence(const std::vector<std::string>& characters, const Dictionary& words,
                          std::int64_t vocabulary);
/// Its words, by the most probable path.
std::vector<std::string> words_of_sentence(const std::vector<std::string>& characters,
                                           const Dictionary& words);

}  // namespace ballast::dynamic
