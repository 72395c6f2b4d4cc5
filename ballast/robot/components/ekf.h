// b4: an extended Kalman filter over 15 states, after robot_localization (Moore and Stouch, "A generalized
// extended Kalman filter implementation for the Robot Operating System", IAS-13, 2014): position,
// roll-pitch-yaw, velocity in the body, angular velocity in the body, acceleration in the body. Sensors fuse
// the variables that they select; a measurement that comes late is put in its place and what followed is
// replayed.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

namespace ballast::robot {

class PoseFilter {
 public:
  static constexpr int kStates = 15;
  enum State { x, y, z, roll, pitch, yaw, vx, vy, vz, wroll, wpitch, wyaw, ax, ay, az };
  using Vector = Eigen::Matrix<double, kStates, 1>;
  using Matrix = Eigen::Matrix<double, kStates, kStates>;

  /// `process` is the variance that each state gains in a second; history in seconds.
  PoseFilter(const Vector& process, double history_s = 1);

  /// What a sensor fuses: these states, measured directly, with these variances.
  struct Measurement {
    std::int64_t time_ns = 0;
    std::vector<int> states;
    std::vector<double> values, variances;
  };

  void start(std::int64_t time_ns, const Vector& state, const Matrix& covariance);
  bool started() const { return started_; }
  /// Predicts to the measurement's time and corrects. Older than the history: ignored (false). Throws
  /// InvalidInput for unknown states, variances that are not positive, values that are not finite.
  bool fuse(const Measurement& measurement);

  const Vector& state() const { return state_; }
  const Matrix& covariance() const { return covariance_; }
  std::int64_t time_ns() const { return time_; }

  /// The motion model over dt seconds, and its Jacobian when asked for.
  static Vector predict(const Vector& state, double dt, Matrix* jacobian = nullptr);

 private:
  struct Snapshot {
    Measurement measurement;
    Vector state;  ///< after it
    Matrix covariance;
  };
  void step(const Measurement& measurement);
  void keep(const Measurement& measurement);

  Vector process_;
  std::int64_t history_ns_;
  bool started_ = false;
  std::int64_t time_ = 0;
  Vector state_ = Vector::Zero();
  Matrix covariance_ = Matrix::Identity();
  std::deque<Snapshot> history_;
};

}  // namespace ballast::robot
