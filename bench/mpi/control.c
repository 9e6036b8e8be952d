/* What MPI itself takes, called from C: the arrays of ours.mjs. `control PART TRIPS WARM COUNT LARGE_WARM LARGE_COUNT`. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, other, trips;

typedef struct {
  int warm, count;
} Work;

static void ping_pong(const char *title, int length, int trips, Work work, int bandwidth, const char *end) {
  double *data = calloc(length, sizeof *data), *into = calloc(length, sizeof *into);
  for (int i = 0; i < length; i++) data[i] = into[i] = 1;
  if (rank == 0) printf("\"%s\": [", title);
  for (int i = 0; i < work.warm + work.count; i++) {
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = MPI_Wtime();
    for (int trip = 0; trip < trips; trip++) {
      if (rank == 0) MPI_Send(data, length, MPI_DOUBLE, other, 0, MPI_COMM_WORLD);
      MPI_Recv(into, length, MPI_DOUBLE, other, MPI_ANY_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      if (rank == 1) MPI_Send(data, length, MPI_DOUBLE, other, 0, MPI_COMM_WORLD);
    }
    double seconds = (MPI_Wtime() - begin) / trips / 2;
    if (i < work.warm || rank == 1) continue;
    printf("%s%.9g", i > work.warm ? "," : "", bandwidth ? length * 8.0 / seconds / 1e9 : seconds * 1e6);
  }
  if (rank == 0) printf("]%s", end);
  free(data);
  free(into);
}

static void allreduce(const char *title, int length, int trips, Work work, double unit, const char *end) {
  double *data = calloc(length, sizeof *data), *into = calloc(length, sizeof *into);
  for (int i = 0; i < length; i++) data[i] = into[i] = 1;
  if (rank == 0) printf("\"%s\": [", title);
  for (int i = 0; i < work.warm + work.count; i++) {
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = MPI_Wtime();
    for (int trip = 0; trip < trips; trip++) {
      MPI_Allreduce(data, into, length, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    }
    double seconds = (MPI_Wtime() - begin) / trips;
    if (i >= work.warm && rank == 0) printf("%s%.9g", i > work.warm ? "," : "", seconds * unit);
  }
  if (rank == 0) printf("]%s", end);
  free(data);
  free(into);
}

int main(int argc, char **argv) {
  if (argc != 7) return 2;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  other = 1 - rank;
  trips = atoi(argv[2]);
  Work few = {atoi(argv[3]), atoi(argv[4])}, large = {atoi(argv[5]), atoi(argv[6])};
  if (rank == 0) printf("{");
  if (strcmp(argv[1], "messages") == 0) {
    ping_pong("8 B, us", 1, trips, few, 0, ",");
    ping_pong("1 MB, GB/s", 1 << 17, 16, large, 1, ",");
    ping_pong("16 MB, GB/s", 1 << 21, 2, large, 1, "");
  } else if (strcmp(argv[1], "allreduce") == 0) {
    allreduce("1M into, ms", 1000000, 1, large, 1e3, ",");
    allreduce("one number, us", 1, trips, few, 1e6, "");
  } else {
    allreduce("one number, us", 1, 1, (Work){0, 1}, 1e6, "");
  }
  if (rank == 0) printf("}\n");
  MPI_Finalize();
  return 0;
}
