#include "ballast/robot/components/ekf.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"

namespace ballast::robot {
namespace {

double wrapped(double angle) {
  return std::remainder(angle, 2 * 3.14159265358979323846);
}

}  // namespace

PoseFilter::PoseFilter(const Vector& process, double history_s)
    : process_(process), history_ns_(static_cast<std::int64_t>(history_s * 1e9)) {
  if (!(process.minCoeff() > 0)) throw InvalidInput("process noise: all 15 variances are above 0");
}

void PoseFilter::start(std::int64_t time_ns, const Vector& state, const Matrix& covariance) {
  started_ = true;
  time_ = time_ns;
  state_ = state;
  covariance_ = covariance;
  history_.clear();
  history_.push_back({{time_ns, {}, {}, {}}, state, covariance});
}

PoseFilter::Vector PoseFilter::predict(const Vector& s, double dt, Matrix* jacobian) {
  const double cr = std::cos(s[roll]), sr = std::sin(s[roll]), cp = std::cos(s[pitch]),
               sp = std::sin(s[pitch]), cy = std::cos(s[yaw]), sy = std::sin(s[yaw]), tp = sp / cp;
  const Eigen::Vector3d v(s[vx], s[vy], s[vz]), a(s[ax], s[ay], s[az]), w(s[wroll], s[wpitch], s[wyaw]);
  Eigen::Matrix3d rotation;  // body to world: Rz(yaw) Ry(pitch) Rx(roll)
  rotation << cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr,  //
      sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr,          //
      -sp, cp * sr, cp * cr;
  Eigen::Matrix3d rates;  // body rates to the derivatives of roll, pitch, yaw
  rates << 1, sr * tp, cr * tp, 0, cr, -sr, 0, sr / cp, cr / cp;
  const Eigen::Vector3d move = v * dt + a * (0.5 * dt * dt);
  Vector next = s;
  next.segment<3>(x) += rotation * move;
  next.segment<3>(roll) += rates * w * dt;
  for (int i = roll; i <= yaw; ++i) next[i] = wrapped(next[i]);
  next.segment<3>(vx) += a * dt;
  if (jacobian) {
    Matrix& f = *jacobian;
    f = Matrix::Identity();
    f.block<3, 3>(x, vx) = rotation * dt;
    f.block<3, 3>(x, ax) = rotation * (0.5 * dt * dt);
    f.block<3, 3>(roll, wroll) = rates * dt;
    f.block<3, 3>(vx, ax) = Eigen::Matrix3d::Identity() * dt;
    Eigen::Matrix3d by_roll, by_pitch, by_yaw;
    by_roll << 0, cy * sp * cr + sy * sr, -cy * sp * sr + sy * cr,  //
        0, sy * sp * cr - cy * sr, -sy * sp * sr - cy * cr,         //
        0, cp * cr, -cp * sr;
    by_pitch << -cy * sp, cy * cp * sr, cy * cp * cr,  //
        -sy * sp, sy * cp * sr, sy * cp * cr,          //
        -cp, -sp * sr, -sp * cr;
    by_yaw << -sy * cp, -sy * sp * sr - cy * cr, -sy * sp * cr + cy * sr,  //
        cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr,           //
        0, 0, 0;
    f.block<3, 1>(x, roll) = by_roll * move;
    f.block<3, 1>(x, pitch) = by_pitch * move;
    f.block<3, 1>(x, yaw) = by_yaw * move;
    const double qr = w[1] * cr - w[2] * sr, qc = w[1] * sr + w[2] * cr, secant2 = 1 / (cp * cp);
    f(roll, roll) += qr * tp * dt;
    f(roll, pitch) = qc * secant2 * dt;
    f(pitch, roll) = -qc * dt;
    f(yaw, roll) = qr / cp * dt;
    f(yaw, pitch) = qc * sp * secant2 * dt;
  }
  return next;
}

void PoseFilter::step(const Measurement& m) {
  const double dt = static_cast<double>(m.time_ns - time_) * 1e-9;
  if (dt > 0) {
    Matrix f;
    state_ = predict(state_, dt, &f);
    covariance_ = f * covariance_ * f.transpose();
    covariance_.diagonal() += process_ * dt;
    time_ = m.time_ns;
  }
  const auto n = static_cast<Eigen::Index>(m.states.size());
  if (n == 0) return;
  Eigen::MatrixXd h = Eigen::MatrixXd::Zero(n, kStates), r = Eigen::MatrixXd::Zero(n, n);
  Eigen::VectorXd innovation(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    const int state = m.states[static_cast<std::size_t>(i)];
    h(i, state) = 1;
    r(i, i) = m.variances[static_cast<std::size_t>(i)];
    innovation[i] = m.values[static_cast<std::size_t>(i)] - state_[state];
    if (state >= roll && state <= yaw) innovation[i] = wrapped(innovation[i]);
  }
  const Eigen::MatrixXd s = h * covariance_ * h.transpose() + r;
  const Eigen::MatrixXd gain = s.llt().solve(h * covariance_).transpose();
  state_ += gain * innovation;
  for (int i = roll; i <= yaw; ++i) state_[i] = wrapped(state_[i]);
  // Joseph's form keeps the covariance symmetric and positive.
  const Matrix rest = Matrix::Identity() - gain * h;
  covariance_ = rest * covariance_ * rest.transpose() + gain * r * gain.transpose();
}

void PoseFilter::keep(const Measurement& m) {
  history_.push_back({m, state_, covariance_});
  while (history_.size() > 1 && history_[1].measurement.time_ns < time_ - history_ns_) history_.pop_front();
}

bool PoseFilter::fuse(const Measurement& m) {
  if (m.values.size() != m.states.size() || m.variances.size() != m.states.size())
    throw InvalidInput("a measurement has one value and one variance a state");
  for (std::size_t i = 0; i < m.states.size(); ++i)
    if (m.states[i] < 0 || m.states[i] >= kStates || !(m.variances[i] > 0) || !std::isfinite(m.values[i]))
      throw InvalidInput("a measurement: states 0 to 14, finite values, variances above 0");
  if (!started_) throw InvalidInput("the filter was not started");
  if (m.time_ns >= time_) {
    step(m);
    keep(m);
    return true;
  }
  if (m.time_ns < history_.front().measurement.time_ns) return false;
  const auto later =
      std::upper_bound(history_.begin(), history_.end(), m.time_ns,
                       [](std::int64_t t, const Snapshot& s) { return t < s.measurement.time_ns; });
  std::vector<Measurement> replay{m};
  for (auto it = later; it != history_.end(); ++it) replay.push_back(it->measurement);
  history_.erase(later, history_.end());
  time_ = history_.back().measurement.time_ns;
  state_ = history_.back().state;
  covariance_ = history_.back().covariance;
  for (const auto& again : replay) {
    step(again);
    history_.push_back({again, state_, covariance_});
  }
  return true;
}

}  // namespace ballast::robot
