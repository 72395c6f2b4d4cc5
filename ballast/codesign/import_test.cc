#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/codesign/model_source.h"

namespace ballast::codesign {
namespace {

/// A small model written with the library's own messages.
class ModelWriter {
 public:
  ModelWriter() {
    model_.set_ir_version(8);
    auto* opset = model_.add_opset_import();
    opset->set_domain("");
    opset->set_version(13);
    model_.mutable_graph()->set_name("test");
  }
  ModelWriter& input(const std::string& name, const std::vector<std::int64_t>& shape) {
    value(*model_.mutable_graph()->add_input(), name, shape);
    return *this;
  }
  ModelWriter& output(const std::string& name) {
    model_.mutable_graph()->add_output()->set_name(name);
    model_.mutable_graph()
        ->mutable_output(model_.graph().output_size() - 1)
        ->mutable_type()
        ->mutable_tensor_type()
        ->set_elem_type(1);
    return *this;
  }
  ModelWriter& weights(const std::string& name, const std::vector<std::int64_t>& shape) {
    auto* tensor = model_.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(onnx::TensorProto::FLOAT);
    std::int64_t count = 1;
    for (auto extent : shape) {
      tensor->add_dims(extent);
      count *= extent;
    }
    for (std::int64_t i = 0; i < count; ++i) tensor->add_float_data(0.5f);
    return *this;
  }
  ModelWriter& integers(const std::string& name, const std::vector<std::int64_t>& values) {
    auto* tensor = model_.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(onnx::TensorProto::INT64);
    tensor->add_dims(static_cast<std::int64_t>(values.size()));
    for (auto v : values) tensor->add_int64_data(v);
    return *this;
  }
  onnx::NodeProto* node(const std::string& op, const std::vector<std::string>& in, const std::string& out) {
    auto* n = model_.mutable_graph()->add_node();
    n->set_op_type(op);
    n->set_name(op + "_" + out);
    for (const auto& name : in) n->add_input(name);
    n->add_output(out);
    return n;
  }
  std::string save(const std::string& stem) {
    const std::string path = testing::TempDir() + "ballast_" + stem + ".onnx";
    write_file(path, model_.SerializeAsString());
    return path;
  }
  onnx::ModelProto& proto() { return model_; }

 private:
  static void value(onnx::ValueInfoProto& info, const std::string& name,
                    const std::vector<std::int64_t>& shape) {
    info.set_name(name);
    auto* type = info.mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::TensorProto::FLOAT);
    for (auto extent : shape) {
      auto* dim = type->mutable_shape()->add_dim();
      if (extent > 0)
        dim->set_dim_value(extent);
      else
        dim->set_dim_param("n");
    }
  }
  onnx::ModelProto model_;
};

void ints(onnx::NodeProto* node, const std::string& name, const std::vector<std::int64_t>& values) {
  auto* a = node->add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::INTS);
  for (auto v : values) a->add_ints(v);
}

ModelWriter conv_model() {
  ModelWriter w;
  w.input("x", {1, 3, 32, 32}).weights("w", {8, 3, 3, 3}).weights("b", {8});
  auto* conv = w.node("Conv", {"x", "w", "b"}, "y");
  ints(conv, "pads", {1, 1, 1, 1});
  ints(conv, "strides", {2, 2});
  w.node("Relu", {"y"}, "z");
  w.output("z");
  return w;
}

TEST(Import, CountsAConvolutionAndFusesItsActivation) {
  const auto net = load_net(conv_model().save("conv"), {});
  ASSERT_EQ(net.graph.nodes.size(), 1u);
  const Node& node = net.graph.nodes[0];
  EXPECT_EQ(node.macs, 16 * 16 * 8 * 3 * 9);
  EXPECT_EQ(node.weight_bytes, 8 * 3 * 9);
  EXPECT_EQ(node.activation, "Relu");
  EXPECT_EQ(node.out_bytes, 8 * 16 * 16);
}

// The shape of a Reshape that is computed from Shape, Slice and Concat, as exporters write it.
TEST(Import, EvaluatesTheIntegerSubgraphBehindAReshape) {
  ModelWriter w;
  w.input("x", {1, 8, 4, 5})
      .integers("start", {0})
      .integers("end", {1})
      .integers("rest", {-1, 20})
      .weights("w", {20, 7});
  w.node("Shape", {"x"}, "shape");
  w.node("Slice", {"shape", "start", "end"}, "batch");
  auto* concat = w.node("Concat", {"batch", "rest"}, "target");
  auto* axis = concat->add_attribute();
  axis->set_name("axis");
  axis->set_type(onnx::AttributeProto::INT);
  axis->set_i(0);
  w.node("Reshape", {"x", "target"}, "flat");
  w.node("MatMul", {"flat", "w"}, "out");
  w.output("out");
  const auto net = load_net(w.save("reshape"), {});
  EXPECT_GE(net.import.evaluated, 3);
  EXPECT_EQ(net.graph.macs(), 8 * 20 * 7);
}

TEST(Import, HardSwishBecomesOneActivationOnItsConvolution) {
  ModelWriter w;
  w.input("x", {1, 4, 8, 8})
      .weights("w", {4, 4, 1, 1})
      .weights("three", {1})
      .weights("low", {})
      .weights("high", {})
      .weights("six", {1});
  w.node("Conv", {"x", "w"}, "y");
  w.node("Add", {"y", "three"}, "a");
  w.node("Clip", {"a", "low", "high"}, "c");
  w.node("Mul", {"y", "c"}, "m");
  w.node("Div", {"m", "six"}, "z");
  w.output("z");
  const auto net = load_net(w.save("hswish"), {});
  ASSERT_EQ(net.graph.nodes.size(), 1u) << "conv with its gate and scale";
  EXPECT_EQ(net.graph.nodes[0].activation, "Gate");
  EXPECT_EQ(load_net(w.save("hswish"), {}, false).graph.nodes.size(), 5u);
}

std::string refusal(const std::string& path, const std::vector<std::string>& shapes = {}) {
  try {
    load_net(path, shapes);
  } catch (const InvalidInput& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Import, BadInputIsNamed) {
  const std::string garbage = testing::TempDir() + "ballast_garbage.onnx";
  write_file(garbage, "this is no protobuf");
  EXPECT_NE(refusal(garbage).find("not an ONNX model"), std::string::npos);

  ModelWriter open;
  open.input("x", {0, 3, 8, 8}).weights("w", {1, 3, 1, 1});
  open.node("Conv", {"x", "w"}, "y");
  open.output("y");
  const std::string path = open.save("open");
  EXPECT_NE(refusal(path).find("--input-shape x:"), std::string::npos);
  EXPECT_EQ(refusal(path, {"x:2x3x8x8"}), "accepted");
  EXPECT_NE(refusal(path, {"y:2x3x8x8"}).find("which is no input"), std::string::npos);
  EXPECT_NE(refusal(path, {"x:2x3"}).find("4 dimensions"), std::string::npos);
  for (const char* bad : {"x", "x:", "x:ax3", "x:0x3x8x8", ":1x1"})
    EXPECT_THROW(parse_input_shapes({bad}), InvalidInput) << bad;

  auto old = conv_model();
  old.proto().mutable_opset_import(0)->set_version(3);
  EXPECT_NE(refusal(old.save("old")).find("opset 3"), std::string::npos);

  ModelWriter dangling;
  dangling.input("x", {1, 4});
  dangling.node("Add", {"x", "nowhere"}, "y");
  dangling.output("y");
  EXPECT_NE(refusal(dangling.save("dangling")), "accepted");
}

// Flipped and dropped bytes of a good file: accepted or refused with a sentence, never a crash.
TEST(Import, MutatedFilesAreRefusedOrRead) {
  const std::string good = read_file(conv_model().save("seed"));
  Random random(17);
  for (int trial = 0; trial < 400; ++trial) {
    std::string bytes = good;
    for (std::uint64_t i = 0; i <= random.below(4); ++i)
      bytes[random.below(bytes.size())] = static_cast<char>(random());
    if (trial % 3 == 0) bytes.resize(random.below(bytes.size()) + 1);
    const std::string path = testing::TempDir() + "ballast_mutated.onnx";
    write_file(path, bytes);
    try {
      load_net(path, {});
    } catch (const InvalidInput&) {
    }
  }
}

TEST(Import, RealOcrModels) {
  if (try_ocr_model("ppocr-rec").empty())
    GTEST_SKIP() << "PyPI package rapidocr-onnxruntime is not installed (setup/setup.sh)";
  for (const char* name : {"ppocr-rec", "ppocr-det", "ppocr-cls"}) {
    const auto net = load_net(name, {});
    EXPECT_GT(net.graph.macs(), 1'000'000) << name;
    EXPECT_LT(net.fusion.after, net.fusion.before) << name;
    int convolutions = 0;
    for (const auto& node : net.graph.nodes) {
      convolutions +=
          node.op == Op::conv || node.op == Op::depthwise_conv || node.op == Op::group_conv ? 1 : 0;
    }
    if (std::string(name) != "ppocr-cls") {
      EXPECT_EQ(convolutions, std::string(name) == "ppocr-rec" ? 38 : 62) << name;
    }
  }
}

}  // namespace
}  // namespace ballast::codesign
