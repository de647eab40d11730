import org.apache.beam.runners.flink.FlinkJobServerDriver;

/** Beam's job server, which sends no jars with a job: the cluster has the same, and copies of 150 MB take it long. */
public class JobServer {
    public static void main(String[] flags) throws Exception {
        System.setProperty("java.class.path", ""); // where Beam looks for what a job needs
        FlinkJobServerDriver.main(flags);
    }
}
